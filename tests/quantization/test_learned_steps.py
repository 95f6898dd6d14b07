"""Steps of grids that learn: their gradients, and what a fit makes of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.quantization.small import compiled, images, network
from tfzip.quantization.emitters.learned_steps import _learning
from tfzip.quantization_record import record_of


def rounded_on(step, lowest, highest):
    return lambda values: np.clip(np.round(values / step), lowest, highest) * step


def test_gradients_are_those_of_equation_3():
    values = np.array([-9.0, -1.3, 0.2, 0.74, 5.0], np.float32)
    step, lowest, highest = 0.5, -4, 3
    weights = np.array([1.0, 2.0, -3.0, 5.0, 7.0], np.float32)
    x, logarithm = tf.Variable(values), tf.Variable([0.0])
    with tf.GradientTape() as tape:
        y = _learning(
            x, rounded_on(step, lowest, highest)(values), (lowest * step, highest * step), logarithm
        )
        total = tf.reduce_sum(y * weights)
    by_value, by_logarithm = tape.gradient(total, [x, logarithm])
    np.testing.assert_array_equal(by_value, [0, 2, -3, 5, 0])
    by_step = [
        lowest,
        -3 + 2.6,
        0 - 0.4,
        1 - 1.48,
        highest,
    ]  # equation 3, with v/s = -18, -2.6, 0.4, 1.48, 10
    np.testing.assert_allclose(by_logarithm, [step * np.dot(weights, by_step)], rtol=1e-5)


def fitted(model=None, scheme="w4a8", epochs=3, **options):
    x, y = images()
    model = model or compiled(network())
    callback = tfzip.QuantizationCallback(scheme, learned_steps=True, **options)
    model.fit(x, y, batch_size=16, epochs=epochs, callbacks=[callback], verbose=0)
    return model


def test_steps_of_kernels_and_activations_move_until_their_epoch():
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(record_of(self.model))

    x, y = images()
    callbacks = [
        tfzip.QuantizationCallback("int8", learned_steps=True, freeze_ranges=2, freeze_statistics=0),
        Watch(),
    ]
    model = compiled(network(), keras.optimizers.SGD(0.0))
    model.fit(x, y, batch_size=16, epochs=4, callbacks=callbacks, verbose=0)
    first, second, third, last = seen
    for key, (low, high) in first.ranges.items():
        moved, kept = second.ranges[key], low / (high - low)
        assert moved != (low, high)
        np.testing.assert_allclose(moved[0] / (moved[1] - moved[0]), kept, atol=1e-5)
    assert second.ranges == third.ranges == last.ranges
    assert first.weight_scales.keys() == {
        "stem/kernel",
        "depthwise/kernel",
        "project/kernel",
        "side/kernel",
        "head/kernel",
    }
    for key, steps in first.weight_scales.items():
        assert (steps != second.weight_scales[key]).any()
        np.testing.assert_array_equal(second.weight_scales[key], last.weight_scales[key])


def test_tensors_on_one_grid_stay_on_one_grid():
    ranges = record_of(fitted()).ranges
    assert ranges["side"] == ranges["add"]


def test_grids_alone_bring_the_outputs_closer():
    """The range starts eight times too wide, so steps have to become smaller."""
    x = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(4, name="head")])
    y = model.predict(x, verbose=0)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    callback = tfzip.QuantizationCallback("int8", learned_steps=True, calibration=8 * x, freeze_ranges=200)
    seen = model.fit(x, y, epochs=200, batch_size=8, callbacks=[callback], verbose=0).history["loss"]
    assert seen[-1] < 0.2 * seen[0]


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=["xla", "several_steps", "eager"],
)
def test_every_way_to_compile_a_step_learns_the_same(options):
    start = {"calibration": images()[0], "epochs": 2}
    grids = [record_of(fitted(compiled(network(), **one), **start)) for one in ({}, options)]
    for key, ends in grids[0].ranges.items():
        np.testing.assert_allclose(ends, grids[1].ranges[key], rtol=0.02)


def test_loss_scaling_leaves_steps_finite():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    record = record_of(fitted(compiled(model)))
    assert all(np.isfinite(ends).all() for ends in record.ranges.values())
    assert all((steps > 0).all() for steps in record.weight_scales.values())


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_a_model_without_trainable_weights_keeps_its_grids():
    model = network()
    model.trainable = False
    record = record_of(fitted(compiled(model), freeze_statistics=0, calibration=images()[0]))
    assert len(record.ranges) == 7
