"""Learned rounding against nearest rounding, naive convolutions and fits by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.quantization.post_training_nets import pictures, residual_net, squeeze_net, trained
from tfzip.errors import DataError, OptionError
from tfzip.graph import flatten
from tfzip.quantization.rounding.adaround import adaround
from tfzip.quantization.rounding.learn import Learning, learned_integers
from tfzip.quantization.rounding.product import Product
from tfzip.quantization.rounding.refit import refitted
from tfzip.quantization.rounding.unfold import Unfolding, can_unfold
from tfzip.quantization.scales import least_squares_scales
from tfzip.quantization.weighted import weight_groups
from tfzip.quantization_record import record_of
from tfzip.schemes import TensorFormat, mixed_scheme

FOUR_BITS = TensorFormat("int", 4, per_channel=True)
QUICK = Learning(steps=150)
LAYERS = {
    "convolution": (layers.Conv2D(6, 3, 2, padding="same"), (9, 7, 4)),
    "valid": (layers.Conv2D(6, (3, 2)), (9, 7, 4)),
    "dilated": (layers.Conv2D(6, 3, dilation_rate=2, padding="same"), (9, 7, 4)),
    "grouped": (layers.Conv2D(6, 3, groups=2), (9, 7, 4)),
    "depthwise": (layers.DepthwiseConv2D(3, 2, padding="same"), (9, 7, 4)),
    "multiplied": (layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 7, 4)),
    "series": (layers.Conv1D(6, 3, 2), (9, 4)),
    "causal": (layers.Conv1D(6, 3, padding="causal", dilation_rate=2), (9, 4)),
    "grouped series": (layers.Conv1D(6, 3, groups=2), (9, 4)),
    "depthwise series": (layers.DepthwiseConv1D(3), (9, 4)),
    "dense": (layers.Dense(6), (4,)),
    "dense on images": (layers.Dense(6), (9, 7, 4)),
}


def groups_of(model):
    return {group.key: group for group in weight_groups(flatten(model, batch=1))}


def nearest_of(model):
    """Returns a copy whose kernels are rounded to the nearest on the same grids."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for group in groups_of(copy).values():
        kernel = group.folded_kernel()
        spread = group.along_channels(least_squares_scales(group.by_channel(kernel), FOUR_BITS))
        if group.axes != (-2, -1):
            group.set_folded_kernel(np.clip(np.rint(kernel / spread), -7, 7) * spread)
    return copy


def distance(model, other, images):
    return float(np.square(np.asarray(model(images)) - np.asarray(other(images))).mean())


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_an_unfolded_operation_is_the_operation(layer, shape):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    (group,) = groups_of(model).values()
    assert can_unfold(group)
    images = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    unfolding = Unfolding(group)
    columns = unfolding.columns(group.folded_kernel())
    np.testing.assert_array_equal(unfolding.kernel(columns), group.folded_kernel())
    rows = np.asarray(unfolding.rows(images))
    made = np.einsum("pgk,gko->pgo", rows, columns).reshape(len(rows), -1) + group.folded_bias()
    np.testing.assert_allclose(made, unfolding.places(model(images)), rtol=1e-4, atol=1e-5)


def test_a_transposed_convolution_is_not_unfolded():
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.Conv2DTranspose(3, 2, 2)(inputs))
    assert not can_unfold(next(iter(groups_of(model).values())))


def test_rounding_finds_the_best_of_all_choices_of_a_small_problem():
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(4, 4))
    rows = (rng.normal(size=(1, 400, 4)) @ mixing).astype(np.float32)
    weights = rng.uniform(-3, 3, size=(1, 4, 1)).astype(np.float32)
    product = Product(rows, (rows @ weights)[0], lambda tensor: tensor)
    bias, one = np.zeros(1, np.float32), np.ones((1, 1, 1), np.float32)
    choices = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    best = min(product.error(np.floor(weights) + up.reshape(1, 4, 1), bias) for up in choices)
    integers = learned_integers(
        product,
        weights,
        one,
        bias,
        limits=(-7, 7),
        learning=Learning(steps=600),
        rng=np.random.default_rng(0),
    )
    assert product.error(integers, bias) == pytest.approx(best, rel=1e-4)
    assert best < product.error(np.rint(weights), bias)


def test_an_error_behind_relu_counts_only_where_it_shows():
    rows = np.ones((1, 8, 1), np.float32)
    product = Product(rows, np.full((8, 1), -5.0, np.float32), lambda tensor: np.maximum(tensor, 0))
    assert product.error(np.full((1, 1, 1), -1.0, np.float32), np.zeros(1, np.float32)) == 0
    assert product.error(np.full((1, 1, 1), 2.0, np.float32), np.zeros(1, np.float32)) == 4


def test_a_refit_finds_the_line_through_the_targets():
    rows = np.random.default_rng(1).normal(size=(1, 200, 3)).astype(np.float32)
    columns = np.array([[[1.0, 2.0], [0.0, 1.0], [-1.0, 3.0]]], np.float32)
    targets = (rows @ columns)[0] * [1.1, 0.9] + [0.5, -2.0]
    product = Product(rows, targets.astype(np.float32), lambda tensor: tensor)
    factor, bias = refitted(product, columns, np.zeros(2, np.float32), keep_bias=False)
    np.testing.assert_allclose(factor, [1.1, 0.9], rtol=1e-4)
    np.testing.assert_allclose(bias, [0.5, -2.0], rtol=1e-4)
    _, kept = refitted(product, columns, np.zeros(2, np.float32), keep_bias=True)
    np.testing.assert_array_equal(kept, [0, 0])


@pytest.mark.parametrize("net", [residual_net, squeeze_net])
def test_learned_rounding_changes_a_model_less_than_rounding_to_the_nearest(net):
    model, images = net(), pictures(96)
    before = model.get_weights()
    revision = adaround(model, "int4_weights", calibration=images, learning=QUICK)
    assert {change.path for change in revision.skipped} <= {"separable"}
    new = pictures(64, seed=5)
    assert distance(revision.model, model, new) < 0.7 * distance(nearest_of(model), model, new)
    for old, still in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, still)


def test_every_weight_lies_on_the_grid_of_its_record_next_to_where_it_was():
    model = squeeze_net()
    rounded = adaround(model, "w4a8", calibration=pictures(), learning=QUICK).model
    scales, old, new = record_of(rounded).weight_scales, groups_of(model), groups_of(rounded)
    assert set(scales) == set(new)
    for key, group in new.items():
        assert scales[key].shape == (group.channels,)
        integers = group.folded_kernel() / group.along_channels(scales[key])
        np.testing.assert_allclose(integers, np.rint(integers), atol=2e-3)
        first = least_squares_scales(group.by_channel(old[key].folded_kernel()), FOUR_BITS)
        scaled = np.clip(old[key].folded_kernel() / group.along_channels(first), -7, 7)
        assert (np.abs(np.rint(integers) - scaled) < 1 + 1e-3).all()


def test_the_scheme_decides_the_width_of_each_layer():
    scheme = mixed_scheme("int8_weights", {"a": 4})
    revision = adaround(residual_net(), scheme, calibration=pictures(), learning=QUICK)
    assert set(record_of(revision.model).weight_scales) == {"a/kernel"}
    assert {change.path for change in revision.skipped} == {"stem", "b", "c", "short", "head"}
    assert "8 bits" in str(revision)


def test_depthwise_kernels_stay_in_float_beside_float_activations():
    revision = adaround(squeeze_net(), "int4_weights", calibration=pictures(), learning=Learning(steps=1))
    assert [change.path for change in revision.skipped] == ["separable"]
    assert "beside float activations" in str(revision)
    assert set(record_of(revision.model).weight_scales) >= {"stem/kernel", "separable/pointwise_kernel"}


def test_the_same_seed_gives_the_same_model():
    first, second = (
        adaround(
            squeeze_net(), "int4_weights", calibration=pictures(), learning=Learning(steps=20), seed=3
        ).model
        for _ in range(2)
    )
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_that_is_called_twice_is_rounded_for_both_calls():
    inputs = keras.Input((4, 4, 8))
    twice = layers.Conv2D(8, 1, activation="relu", name="twice")
    model = trained(keras.Model(inputs, twice(twice(inputs))))
    images = np.random.default_rng(0).normal(size=(32, 4, 4, 8)).astype(np.float32)
    scales = record_of(
        adaround(model, "int4_weights", calibration=images, learning=QUICK).model
    ).weight_scales
    assert set(scales) == {"twice/kernel", "twice/kernel#2"}
    np.testing.assert_array_equal(scales["twice/kernel"], scales["twice/kernel#2"])


def test_wrong_arguments_are_errors_of_one_line():
    model = residual_net()
    with pytest.raises(OptionError, match="Rounding needs integer weights"):
        adaround(model, "float16", calibration=pictures())
    with pytest.raises(DataError, match="empty"):
        adaround(model, "int4_weights", calibration=pictures()[:0])
    with pytest.raises(DataError, match="NaN"):
        adaround(model, "int4_weights", calibration=np.full((4, 8, 8, 3), np.nan, np.float32))
