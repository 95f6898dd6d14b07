"""A penalty on scales pushes those down that the network can do without."""

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tfzip.errors import OptionError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 8, 8, 2)).astype("float32"), RNG.integers(0, 3, 64)


def network(own=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(8, 3, name="conv"),
            layers.BatchNormalization(name="norm", gamma_regularizer=own),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def scales(model):
    return np.abs(model.get_layer("norm").gamma.numpy())


def test_the_penalty_is_in_the_loss_and_gone_afterwards():
    model = network()
    plain = model.evaluate(X, Y, verbose=0)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(float(keras.ops.sum(model.losses)))
    )
    model.fit(X, Y, verbose=0, epochs=0, callbacks=[])
    model.fit(X, Y, verbose=0, callbacks=[tfzip.SlimmingCallback(0.5), watch])
    assert seen == [pytest.approx(0.5 * 8)]
    assert model.losses == []
    assert model.evaluate(X, Y, verbose=0) != plain
    assert model.get_layer("norm").get_config()["gamma_regularizer"] is None


def test_scales_become_smaller_than_without():
    with_penalty, without = network(), network()
    with_penalty.fit(X, Y, epochs=20, verbose=0, callbacks=[tfzip.SlimmingCallback(0.1)])
    without.fit(X, Y, epochs=20, verbose=0)
    assert scales(with_penalty).sum() < 0.7 * scales(without).sum()
    small = tfzip.remove_channels(with_penalty, 0.5, criterion="batch_norm")
    kept = np.sort(np.argsort(scales(with_penalty))[4:])
    np.testing.assert_array_equal(
        small.get_layer("conv").kernel.numpy(), with_penalty.get_layer("conv").kernel.numpy()[..., kept]
    )


def test_a_regularizer_of_the_layer_counts_beside_it_and_comes_back():
    own = keras.regularizers.L2(0.25)
    model = network(own)
    callback = tfzip.SlimmingCallback(0.5)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(float(keras.ops.sum(model.losses)))
    )
    model.fit(X, Y, verbose=0, callbacks=[callback, watch])
    assert seen == [pytest.approx(0.5 * 8 + 0.25 * 8)]
    assert model.get_layer("norm").gamma.regularizer is own


def test_an_interrupted_fit_takes_it_off():
    class Stop(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    model = network()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[tfzip.SlimmingCallback(), Stop()])
    model.fit(X, Y, verbose=0)
    assert model.losses == []


def test_what_has_no_scale_is_refused():
    with pytest.raises(OptionError, match="no batch normalization"):
        network().fit(X, Y, verbose=0, callbacks=[tfzip.SlimmingCallback(layers="head")])
    with pytest.raises(OptionError, match="above 0"):
        tfzip.SlimmingCallback(0.0)
