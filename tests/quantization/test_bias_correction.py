"""Bias correction leaves no mean error on its own data."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.quantization.post_training_nets import inverted_net, pictures, residual_net, trained
from tfzip.quantization.bias_correction import correct_bias
from tfzip.quantization.scales import least_squares_scales
from tfzip.schemes import TensorFormat

FOUR_BITS = TensorFormat("int", 4, per_channel=True)


def test_one_layer_is_corrected_as_computed_by_hand():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2, name="only")(inputs))
    kernel = np.array([[0.9, -0.31], [0.4, 0.77], [-0.13, 0.52]], np.float32)
    model.set_weights([kernel, np.array([1.0, 2.0])])
    data = np.random.default_rng(0).normal(loc=1.0, size=(40, 3)).astype(np.float32)
    steps = least_squares_scales(kernel.T, FOUR_BITS)
    rounded = np.clip(np.rint(kernel / steps), -7, 7) * steps
    corrected = correct_bias(model, "int4_weights", calibration=data).model
    expected = np.array([1.0, 2.0]) - data.mean(axis=0) @ (rounded - kernel)
    np.testing.assert_allclose(corrected.get_layer("only").bias, expected, rtol=1e-5)
    np.testing.assert_array_equal(corrected.get_layer("only").kernel, kernel)
    np.testing.assert_array_equal(model.get_layer("only").bias, [1.0, 2.0])


@pytest.mark.parametrize("net", [residual_net, inverted_net])
def test_a_second_correction_finds_nothing_to_correct(net):
    images = pictures(48)
    model = net()
    once = correct_bias(model, "int4_weights", calibration=images)
    twice = correct_bias(once.model, "int4_weights", calibration=images, reference=model)
    first, second = ([float(c.detail.split()[1]) for c in r.changes if c.detail] for r in (once, twice))
    assert max(second) < 1e-5 < min(first)


def test_what_has_no_place_for_a_number_is_listed():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="plain")(inputs)
    x = layers.SeparableConv2D(4, 3, name="separable")(x)
    x = layers.Conv2D(4, 1, name="normed")(x)
    x = layers.BatchNormalization(center=False)(x)
    revision = correct_bias(trained(keras.Model(inputs, x)), "int4_weights", calibration=pictures())
    assert [change.path for change in revision.skipped] == ["plain", "separable", "normed"]
    assert [change.path for change in revision.changes if change.detail] == ["separable"]
