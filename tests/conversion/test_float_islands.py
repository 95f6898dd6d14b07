"""Layers are traced with other operations, and compute what they computed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import tfzip
from tfzip.conversion.float_islands import without_float_islands
from tfzip.schemes import get_scheme

INT8, FLOAT = get_scheme("int8"), get_scheme("float32")
VOLUME, SERIES, IMAGE = (5, 6, 7, 4), (6, 4), (4, 4, 6)


def random(shape):
    return (2 * np.random.default_rng(1).normal(size=(3, *shape))).astype("float32")


def shaken(layer, shape):
    layer.build((None, *shape))
    rng = np.random.default_rng(2)
    for variable in layer.weights:
        variable.assign(rng.uniform(0.2, 1.5, variable.shape))
    return layer


def in_model(layer, shape):
    x = keras.Input(shape)
    return keras.Model(x, layer(x))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv3D(3, 2), VOLUME),
        (layers.Conv3D(3, (3, 2, 2), strides=(2, 1, 2), padding="same", activation="relu"), VOLUME),
        (layers.Conv3D(3, 2, dilation_rate=2, padding="same", use_bias=False), VOLUME),
        (layers.LayerNormalization(), SERIES),
        (layers.LayerNormalization(axis=[1, 2], center=False), SERIES),
        (layers.LayerNormalization(scale=False, center=False), SERIES),
        (layers.GroupNormalization(3), IMAGE),
        (layers.GroupNormalization(-1, scale=False), IMAGE),
        (layers.RMSNormalization(), SERIES),
        (layers.UnitNormalization(), SERIES),
        (layers.UnitNormalization(axis=1), SERIES),
        (layers.Masking(mask_value=1.5), SERIES),
        (layers.Dense(5, activation="softplus"), SERIES),
        (layers.Activation("mish"), SERIES),
        (layers.Activation("selu"), SERIES),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_is_written_out_computes_the_same(layer, shape):
    model, x = in_model(shaken(layer, shape), shape), random(shape)
    if isinstance(layer, layers.Masking):
        x[:, 2] = 1.5
    expected = model(x).numpy()
    with without_float_islands(model, INT8):
        np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("pooling", [layers.MaxPooling3D, layers.AveragePooling3D])
def test_volumes_are_pooled_in_two_steps_in_every_scheme(pooling, padding):
    model, x = in_model(pooling((2, 3, 2), (2, 2, 1), padding=padding), VOLUME), random(VOLUME)
    expected = model(x).numpy()
    with without_float_islands(model, FLOAT):
        assert kinds(model, VOLUME) & {"MaxPool3D", "AvgPool3D"} == set()
        np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def kinds(model, shape):
    """Returns the types of what is computed from the input: what is computed from weights is folded."""
    function = tf.function(lambda x: model(x, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec((1, *shape)))
    found, left = set(), [concrete.inputs[0].op]
    while left:
        operation = left.pop()
        if operation not in found:
            found.add(operation)
            left += [consumer for output in operation.outputs for consumer in output.consumers()]
    return {operation.type for operation in found}


def graph_of_functions():
    x = keras.Input(SERIES)
    return keras.Model(x, ops.square(ops.negative(x)) + ops.softplus(x))


def masked_and_normalized():
    x = keras.Input(SERIES)
    y = layers.LayerNormalization()(layers.Masking()(x))
    return keras.Model(x, layers.GRU(3)(y))


@pytest.mark.parametrize("build", [graph_of_functions, masked_and_normalized])
def test_operations_without_integer_kernels_leave_the_graph_for_integer_schemes_only(build):
    model, foreign = build(), {"Neg", "Square", "Softplus", "NotEqual"}
    x, before = random(SERIES), kinds(model, SERIES) & foreign
    expected = model(x).numpy()
    with without_float_islands(model, FLOAT):
        assert kinds(model, SERIES) & foreign == before
    with without_float_islands(model, INT8):
        assert kinds(model, SERIES) & foreign == set()
        np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_a_model_is_afterwards_what_it_was_also_after_an_error():
    model = masked_and_normalized()
    before = [dict(vars(layer)) for layer in model.layers]

    def failing():
        with without_float_islands(model, INT8):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        failing()
    assert [dict(vars(layer)) for layer in model.layers] == before


class OwnNormalization(layers.LayerNormalization):
    """Another author's layer."""

    def call(self, x):
        return super().call(x) * 2.0


def test_layers_by_other_authors_are_left_alone():
    model, x = in_model(OwnNormalization(), SERIES), random(SERIES)
    expected = model(x).numpy()
    with without_float_islands(model, INT8):
        np.testing.assert_array_equal(model(x).numpy(), expected)


@pytest.mark.parametrize("activation", ["softplus", "mish", "selu", "elu"])
def test_curves_are_within_one_step_of_their_result_on_average(activation, tmp_path):
    model = in_model(layers.Activation(activation), (16,))
    data = np.random.default_rng(3).normal(size=(64, 16)).astype("float32") * 2.5
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=data)
    assert not artifact.findings
    report = tfzip.compare(model, artifact, data)
    (output,) = report.outputs
    assert output.unit == "LSB"
    assert output.mean_difference < 1
