"""A model is changed for its trace and is afterwards what it was."""

import keras
import pytest
from keras import layers

from tfzip.conversion.preparation import as_exported
from tfzip.schemes import get_scheme


def recurrent():
    x = keras.Input((6, 3))
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    return keras.Model(x, layers.Dense(1)(layers.GRU(4)(y)))


def mixed():
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, dtype="mixed_float16")(x)
    inner = keras.Sequential([layers.Dense(3, dtype="mixed_float16")])
    return keras.Model(x, inner(layers.Flatten()(y)))


def every(model):
    return list(model._flatten_layers())


def test_recurrent_layers_are_unrolled_for_integer_schemes_only():
    model = recurrent()
    loops = [layer for layer in every(model) if isinstance(layer, layers.RNN)]
    assert loops
    with as_exported(model, get_scheme("float32")):
        assert not any(layer.unroll for layer in loops)
    with as_exported(model, get_scheme("int8")):
        assert all(layer.unroll for layer in loops)
    assert not any(layer.unroll for layer in loops)


def test_half_precision_layers_compute_in_float32_and_are_put_back_after_an_error():
    model = mixed()
    before = [layer.dtype_policy.name for layer in every(model)]

    def failing():
        with as_exported(model, get_scheme("float32")):
            assert {layer.compute_dtype for layer in every(model)} == {"float32"}
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        failing()
    assert [layer.dtype_policy.name for layer in every(model)] == before
    assert "mixed_float16" in before
