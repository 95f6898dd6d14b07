"""The names a file will use are the names the user gave."""

import keras
import numpy as np
import pytest
from keras import layers

from tfzip.errors import ModelError
from tfzip.graph.signature import input_tree, output_names


class Doubler(keras.Model):
    def __init__(self):
        super().__init__(name="doubler")
        self.dense = layers.Dense(2)

    def call(self, frames):
        return self.dense(frames) * 2


class Pair(keras.Model):
    def __init__(self):
        super().__init__()
        self.left = layers.Dense(2)
        self.right = layers.Dense(2)

    def call(self, pair):
        return self.left(pair["left"]) + self.right(pair["right"])


def test_a_functional_model_keeps_the_names_of_its_inputs():
    a, b = keras.Input((4,), name="left"), keras.Input((3,), dtype="int32", name="right")
    model = keras.Model([a, b], layers.Concatenate()([a, layers.Embedding(5, 1)(b)[..., 0]]))
    left, right = keras.tree.flatten(input_tree(model))
    assert (left.name, left.shape, left.dtype) == ("left", (-1, 4), "float32")
    assert (right.name, right.shape, right.dtype) == ("right", (-1, 3), "int32")


def test_dictionary_inputs_are_named_by_their_keys():
    a, b = keras.Input((4,), name="query"), keras.Input((4,), name="key")
    model = keras.Model({"query": a, "key": b}, layers.Add()([a, b]))
    assert {key: spec.name for key, spec in input_tree(model).items()} == {"query": "query", "key": "key"}


def test_a_subclassed_model_is_named_by_its_call():
    model = Doubler()
    model(np.zeros((1, 3), "float32"))
    spec = input_tree(model)
    assert (spec.name, spec.shape) == ("input", (-1, 3))
    pair = Pair()
    pair({"left": np.zeros((1, 3), "float32"), "right": np.zeros((1, 4), "float32")})
    assert {key: spec.shape[1:] for key, spec in input_tree(pair).items()} == {"left": (3,), "right": (4,)}


def test_an_unbuilt_model_is_an_error_with_the_remedy():
    with pytest.raises(ModelError, match="'doubler' is not built"):
        input_tree(Doubler())


def test_outputs_are_named_by_keys_or_layers_and_never_twice():
    x = keras.Input((4,))
    dense = layers.Dense(2, name="head")
    model = keras.Model(x, [dense(x), layers.Dense(1, name="aux")(x)])
    assert output_names(model, model.output) == ["head", "aux"]
    named = keras.Model(x, {"mask": dense(x)})
    assert output_names(named, named.output) == ["mask"]
    model.output_names = ["a", "b", "a", "a", "a_1"]
    assert output_names(model, [0] * 5) == ["a", "b", "a_1", "a_2", "a_1_1"]
