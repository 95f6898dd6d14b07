"""Equalization keeps what a model computes and evens out its channels."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.quantization.post_training_nets import inverted_net, pictures, residual_net, squeeze_net, trained
from tfzip.graph import flatten
from tfzip.quantization.equalization import equalize
from tfzip.quantization.weighted import weight_groups

NETS = {
    "residual": residual_net,
    "relu6": inverted_net,
    "swish": lambda: inverted_net("swish"),
    "relu": lambda: inverted_net("relu"),
    "squeeze": squeeze_net,
}


def groups_of(model):
    return {group.path: group for group in weight_groups(flatten(model, batch=1))}


def done(revision):
    return {change.path for change in revision.changes if not change.skipped}


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_a_model_computes_the_same_after_equalization(net):
    model, images = net(), pictures()
    before = model.get_weights()
    revision = equalize(model)
    assert done(revision)
    np.testing.assert_allclose(revision.model(images), model(images), rtol=2e-4, atol=2e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_two_dense_layers_end_with_equal_ranges_as_computed_by_hand():
    inputs = keras.Input((2,))
    model = keras.Model(
        inputs, layers.Dense(1, name="b")(layers.Dense(2, activation="relu", name="a")(inputs))
    )
    model.set_weights(
        [np.array([[8.0, 1.0], [2.0, 0.5]]), np.array([4.0, 1.0]), np.array([[0.5], [4.0]]), np.zeros(1)]
    )
    equal = equalize(model).model
    # s = sqrt(8 / 0.5), sqrt(1 / 4): both sides reach sqrt(8 * 0.5) = 2 and sqrt(1 * 4) = 2
    np.testing.assert_allclose(equal.layers[1].kernel, [[2.0, 2.0], [0.5, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(equal.layers[1].bias, [1.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(equal.layers[2].kernel, [[2.0], [2.0]], rtol=1e-6)


def test_kernels_on_both_sides_reach_the_same_magnitude_in_every_channel():
    equal = groups_of(equalize(inverted_net("relu")).model)
    before = np.abs(equal["expand_1"].folded_kernel()).max(axis=(0, 1, 2))
    after = np.abs(equal["depthwise_1"].folded_kernel()).max(axis=(0, 1, 3))
    np.testing.assert_allclose(before, after, rtol=5e-3)


def test_a_residual_sum_is_rescaled_as_one_set():
    assert "project_0 + project_1 + project_2 + expand_1 + expand_2 + last" in done(
        equalize(inverted_net("swish"))
    )


def test_caps_that_data_reach_are_kept_and_idle_ones_become_relu():
    model, images = inverted_net("relu6"), pictures()
    model.get_layer("expand_1_norm").gamma.assign(np.full(16, 50.0))
    revision = equalize(model, calibration=images)
    np.testing.assert_allclose(revision.model(images), model(images), rtol=2e-4, atol=2e-5)
    assert revision.model.get_layer("expand_act_1").max_value == 6
    idle = [
        layer.name
        for layer in revision.model.layers
        if isinstance(layer, layers.ReLU) and layer.max_value is None
    ]
    assert idle
    assert {change.path for change in revision.changes if "cap" in change.detail} == set(idle)
    assert all(layer.max_value == 6 for layer in model.layers if isinstance(layer, layers.ReLU))


def test_every_connection_that_is_left_alone_says_why():
    skipped = {change.path: change.skipped for change in equalize(inverted_net("relu6")).skipped}
    assert skipped["expand_1"] == "'expand_act_1' (relu6) ties its channels to absolute sizes"
    assert skipped["head"] == "it is an output of the model"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (lambda x, conv: layers.ReLU(threshold=0.5, name="act")(x), "'act'"),
        (lambda x, conv: layers.Concatenate(name="join")([x, x]), "'join'"),
        (lambda x, conv: conv(x), "'twice' is called more than once"),
        (lambda x, conv: layers.Reshape((128,), name="turn")(x), "'turn'"),
    ],
    ids=["threshold", "concatenation", "shared", "reshape"],
)
def test_what_is_not_homogeneous_pins_its_channels(last, reason):
    inputs = keras.Input((4, 4, 3))
    conv = layers.Conv2D(8, 1, name="twice")
    x = conv(layers.Conv2D(8, 1, name="first")(inputs))
    x = layers.Dense(2, name="head")(layers.Flatten()(last(x, conv)))
    model = trained(keras.Model(inputs, x))
    images = pictures()[:, ::2, ::2]
    revision = equalize(model)
    np.testing.assert_allclose(revision.model(images), model(images), rtol=1e-4, atol=1e-5)
    assert any(reason in change.skipped for change in revision.skipped)


def test_channels_of_zeros_stay_as_they_are():
    model = residual_net()
    kernel = np.array(model.get_layer("a").kernel)
    kernel[..., 3] = 0
    model.get_layer("a").kernel.assign(kernel)
    equal = equalize(model).model
    np.testing.assert_allclose(equal(pictures()), model(pictures()), rtol=2e-4, atol=2e-5)
    assert all(np.isfinite(weight).all() for weight in equal.get_weights())


def test_equalizing_twice_changes_nothing_more():
    once = equalize(residual_net()).model
    twice = equalize(once).model
    for first, second in zip(once.get_weights(), twice.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=5e-3, atol=1e-6)
