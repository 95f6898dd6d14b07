"""What people do with a model in and after an aware fit that no plan of training foresees."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfzip
from tfzip.errors import ConversionError, ModelError, OptionError
from tfzip.quantization_record import record_of

CE = "sparse_categorical_crossentropy"
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 8, 8, 3)).astype("float32"), RNG.integers(0, 4, 64)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def network():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("adam", CE)
    return model


def functional(x, y):
    model = keras.Model(x, y)
    model.compile("adam", CE)
    return model


def trained(model, x=X, y=Y, scheme="int8", **options):
    model.fit(x, y, batch_size=16, verbose=0, callbacks=[tfzip.QuantizationCallback(scheme)], **options)
    return model


class Trainer(keras.Model):
    """Trains the model inside without calling itself."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x, training=None):
        return self.inner(x, training=training)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self.inner(x, training=True))
        found = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(found, self.trainable_variables, strict=True))
        return {"loss": loss}


class Interrupt(keras.callbacks.Callback):
    """Raises what an interrupt key raises, at one place."""

    def __init__(self, place):
        super().__init__()
        setattr(self, place, self.interrupt)

    def interrupt(self, *_, **__):
        raise KeyboardInterrupt


class Restore(keras.callbacks.Callback):
    """Loads weights, and the grids beside them, as a fit begins or ends."""

    def __init__(self, path, *, end=False):
        super().__init__()
        setattr(self, "on_train_end" if end else "on_train_begin", lambda *_: self.model.load_weights(path))


def test_inputs_without_names_are_known_again_after_loading(tmp_path):
    model = trained(network())
    expected = tfzip.quantize(model).predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = tfzip.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tfzip.quantize(loaded).predict(X, verbose=0), expected)
    artifact = tfzip.export(loaded, tmp_path / "model.tflite")
    assert tfzip.parity(loaded, artifact, X).max_lsb == 0


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
def test_ranges_of_inputs_given_by_name_belong_to_them():
    wide, narrow = keras.Input((6,), name="zz"), keras.Input((3,), name="aa")
    joined = layers.Concatenate()([layers.Dense(5, activation="relu")(one) for one in (wide, narrow)])
    model = keras.Model([wide, narrow], layers.Dense(1)(joined))
    model.compile("adam", "mse")
    data = {"zz": RNG.normal(size=(64, 6)) * 100, "aa": RNG.normal(size=(64, 3)), "id": np.arange(64)}
    trained(model, data, np.zeros((64, 1)))
    ranges = record_of(model).ranges
    assert ranges["input:0"][1] > 50 > 10 > ranges["input:1"][1]


def test_a_missing_axis_of_size_one_is_added():
    x = keras.Input((1,))
    model = functional(x, layers.Dense(4, activation="softmax")(x))
    trained(model, RNG.normal(size=64).astype("float32"))
    assert record_of(model).ranges


def test_a_train_step_that_never_runs_the_model_is_an_error():
    model = Trainer(network())
    model(X[:1])
    model.compile("adam", CE)
    with pytest.raises(ModelError, match="training=True"):
        trained(model)
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("place", ["on_train_batch_end", "on_epoch_end", "on_test_batch_begin"])
def test_a_fit_interrupted_anywhere_leaves_a_float_model(tmp_path, place):
    model = network()
    callbacks = [tfzip.QuantizationCallback(batches=1), Interrupt(place)]
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks, validation_data=(X, Y))
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile("adam", CE)
    np.testing.assert_array_equal(model.predict(X, verbose=0), twin.predict(X, verbose=0))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(twin.evaluate(X, Y, verbose=0))
    tfzip.export(model, tmp_path / "model.tflite", scheme="float32")
    model.fit(X, Y, verbose=0)
    assert "call" not in vars(model)


def test_a_model_is_exported_while_it_trains(tmp_path):
    class Export(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            tfzip.export(self.model, tmp_path / f"{epoch}.tflite")

    model = network()
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[tfzip.QuantizationCallback(), Export()])
    for epoch in (0, 1):
        assert tfzip.inspect(tmp_path / f"{epoch}.tflite").scheme == "int8"
    assert "call" not in vars(model)


@pytest.mark.parametrize("first", [True, False])
def test_a_checkpoint_holds_the_grids_of_its_weights(tmp_path, first):
    model, path = network(), tmp_path / "{epoch}.keras"
    callbacks = [keras.callbacks.ModelCheckpoint(path), tfzip.QuantizationCallback(start=1)]
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks if first else callbacks[::-1])
    assert record_of(tfzip.load_model(tmp_path / "1.keras")) is None
    loaded = tfzip.load_model(tmp_path / "2.keras")
    assert record_of(loaded).ranges.keys() == record_of(model).ranges.keys()


@pytest.mark.parametrize(
    "layer", [layers.RandomRotation(0.4), pytest.param(layers.RandomFlip(), marks=pytest.mark.slow)]
)
def test_random_layers_do_nothing_outside_of_training(tmp_path, layer):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu")(layer(x))
    model = trained(functional(x, layers.Dense(4, activation="softmax")(layers.Flatten()(y))))
    simulated = tfzip.quantize(model)
    np.testing.assert_allclose(simulated.predict(X, verbose=0), model.predict(X, verbose=0), atol=0.15)
    assert tfzip.parity(model, tfzip.export(model, tmp_path / "m.tflite"), X).max_lsb <= 1


@pytest.mark.parametrize("scheme", ["w4a8", "int8"])
def test_a_transposed_convolution_keeps_eight_bits_in_the_simulation_too(tmp_path, scheme):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Flatten()(layers.Conv2DTranspose(4, 2, strides=2)(y))
    model = trained(functional(x, layers.Dense(4, activation="softmax")(y)), scheme=scheme)
    artifact = tfzip.export(model, tmp_path / "model.tflite")
    assert tfzip.parity(model, artifact, X).max_lsb <= 1


@pytest.mark.parametrize("scheme", ["w4a8", "int8"])
def test_a_convolution_in_three_dimensions_has_the_bits_of_the_file(tmp_path, scheme):
    volumes = RNG.normal(size=(64, 5, 6, 6, 2)).astype("float32")
    x = keras.Input(volumes.shape[1:])
    y = layers.Flatten()(layers.Conv3D(4, 3, activation="relu")(x))
    model = trained(functional(x, layers.Dense(4, activation="softmax")(y)), volumes, scheme=scheme)
    report = tfzip.parity(model, tfzip.export(model, tmp_path / "model.tflite"), volumes)
    assert report.max_lsb <= 1
    assert report.unmatched == ()


def test_what_an_earlier_fit_gave_back_stays_as_the_user_left_it():
    model = trained(network())
    model.compile("adam", CE, jit_compile=True)
    trained(model)
    assert model.jit_compile is True


def test_images_of_bytes_need_no_data_after_training(tmp_path):
    x = keras.Input((8, 8, 3), dtype="uint8")
    y = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 127.5, -1)(x))
    model = functional(x, layers.Dense(4, activation="softmax")(layers.Flatten()(y)))
    images = RNG.integers(0, 256, (64, 8, 8, 3)).astype("uint8")
    trained(model, images)
    artifact = tfzip.export(model, tmp_path / "model.tflite")
    assert tfzip.compare(model, artifact, images).outputs[0].cosine > 0.99


@pytest.mark.filterwarnings("ignore:Skipping variable loading")
def test_grids_of_another_model_are_not_taken(tmp_path):
    path = tmp_path / "model.weights.h5"
    trained(network()).save_weights(path)
    other = network()  # whose layers have other names
    with pytest.warns(UserWarning, match="chosen anew"):
        other.fit(X, Y, verbose=0, callbacks=[tfzip.QuantizationCallback(), Restore(path)])
    tfzip.export(other, tmp_path / "other.tflite")
    third = network()
    third.fit(X, Y, verbose=0, callbacks=[tfzip.QuantizationCallback(), Restore(path, end=True)])
    with pytest.raises(ConversionError, match="re_lu"):
        tfzip.export(third, tmp_path / "third.tflite")
    with pytest.raises(ModelError, match="re_lu"):
        tfzip.quantize(third)
    tfzip.export(third, tmp_path / "third.tflite", calibration=X)


def test_a_simulated_model_is_exported_as_the_one_inside(tmp_path):
    simulated = tfzip.quantize(network(), calibration=X)
    assert tfzip.export(simulated, tmp_path / "model.tflite").scheme == "int8"


def test_float_activations_need_no_calibration():
    model = network()
    found = tfzip.quantize(model, "int8_weights").predict(X, verbose=0)
    np.testing.assert_allclose(found, model.predict(X, verbose=0), atol=0.15)


@pytest.mark.parametrize(
    "options",
    [{"start": "a"}, {"freeze_ranges": -3}, {"freeze_statistics": "x"}, {"batches": 2.5}, {"start": -1}],
)
def test_numbers_are_checked(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        tfzip.QuantizationCallback(**options)


def test_a_start_behind_the_end_is_an_error():
    with pytest.raises(OptionError, match="last epoch"):
        network().fit(X, Y, epochs=2, verbose=0, callbacks=[tfzip.QuantizationCallback(start=7)])


def test_budgets_are_checked():
    with pytest.raises(OptionError, match="65KB"):
        tfzip.assign_precision(network(), X, 1e4)
    with pytest.raises(OptionError, match="measure_costs"):
        tfzip.LatencyBudget(1, None)


def test_dropout_acts_in_the_training_of_a_functional_model():
    x = keras.Input((8,))
    model = keras.Model(x, layers.Dense(4)(layers.Dropout(0.99)(x)))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    ones = np.ones((64, 8), "float32")
    targets = model.predict(ones, verbose=0)
    aware = [tfzip.QuantizationCallback()]
    losses = model.fit(ones, targets, epochs=2, verbose=0, callbacks=aware).history["loss"]
    assert min(losses) > 0.1
    np.testing.assert_allclose(tfzip.quantize(model).predict(ones, verbose=0), targets, atol=0.05)


def test_a_training_that_the_code_fixes_stays_fixed_and_goes_no_further():
    inner = [layers.BatchNormalization(name="inner"), layers.Dropout(0.5)]
    base = keras.Sequential([keras.Input((8,)), *inner], name="base")
    x = keras.Input((8,))
    y = layers.GaussianNoise(1.0, name="noise")(base(x, training=False))
    model = keras.Model(x, layers.Dense(2, name="head")(layers.BatchNormalization(name="norm")(y)))
    found = {node.path: node.kwargs.get("training") for node in tfzip.flatten(model).nodes}
    assert found["base/inner"] is False
    assert [found[name] for name in ("noise", "norm", "head")] == [None, None, None]


def test_predicting_in_a_callback_leaves_nothing_behind_after_an_interrupt():
    class Predict(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.predict(X, verbose=0)

    model = network()
    callbacks = [tfzip.QuantizationCallback(batches=1), Predict(), Interrupt("on_epoch_end")]
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, verbose=0, callbacks=callbacks)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(X, verbose=0), twin.predict(X, verbose=0))


def test_a_fit_in_a_thread_that_ended_is_over():
    import threading

    model = network()
    callbacks = [tfzip.QuantizationCallback(batches=1), Interrupt("on_epoch_end")]

    def run():
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, batch_size=16, verbose=0, callbacks=callbacks)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(X, verbose=0), twin.predict(X, verbose=0))
    assert "call" not in vars(model)


def test_weights_loaded_after_an_interrupt_bring_their_own_grids(tmp_path):
    model = trained(network())
    model.save_weights(tmp_path / "w.weights.h5")
    wanted = dict(record_of(model).ranges)
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            50 * X,
            Y,
            verbose=0,
            callbacks=[tfzip.QuantizationCallback("w4a8", batches=1), Interrupt("on_epoch_end")],
        )
    model.load_weights(tmp_path / "w.weights.h5")
    model.predict(X, verbose=0)
    assert dict(record_of(model).ranges) == wanted
    assert record_of(model).scheme.name == "int8"


@pytest.mark.parametrize(
    "other", [tfzip.PruningCallback(0.5), tfzip.ClusteringCallback(4), tfzip.SlimmingCallback(1.0)]
)
def test_the_next_fit_takes_off_what_an_interrupted_one_left(other):
    model = network()
    callbacks = [other, tfzip.QuantizationCallback(batches=1), Interrupt("on_epoch_end")]
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks)
    trained(model)
    assert [variable.constraint for variable in model.trainable_variables] == [None] * 6
    assert model.losses == []


def test_a_train_step_that_never_runs_the_model_is_noticed_with_calibration_too():
    model = Trainer(network())
    model(X[:1])
    model.compile("adam", CE)
    with pytest.raises(ModelError, match="training=True"):
        model.fit(X, Y, verbose=0, callbacks=[tfzip.QuantizationCallback(calibration=X)])


def test_a_model_trained_for_a_scheme_is_compared_with_its_rounding(tmp_path):
    model = trained(network(), scheme="w4a8", epochs=3)
    artifact = tfzip.export(model, tmp_path / "model.tflite")
    assert tfzip.compare(model, artifact, X).outputs[0].max_difference <= 1


@pytest.mark.filterwarnings("ignore:When providing `inputs`")
def test_inputs_nested_deeper_are_refused_in_one_line():
    a, b, c = (keras.Input((2,), name=name) for name in "abc")
    model = keras.Model({"z": [a, b], "a": c}, layers.Concatenate()([a, b, c]))
    with pytest.raises(ModelError, match="dictionary"):
        tfzip.export(model, "unwritten.tflite")
