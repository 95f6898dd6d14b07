"""Every leaf once, by a path that a person would write."""

import keras
import pytest

from tfzip.errors import ModelError, OptionError
from tfzip.graph import select_layers, walk


class Residual(keras.layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(width, 3, padding="same", name="conv")
        self.norm = keras.layers.BatchNormalization(name="norm")

    def call(self, x):
        return keras.ops.relu(x + self.norm(self.conv(x)))


class Net(keras.Model):
    def __init__(self):
        super().__init__(name="net")
        self.stem = keras.layers.Conv2D(4, 3, name="stem")
        self.blocks = [Residual(4, name="block"), Residual(4, name="block")]
        self.heads = {"a": keras.layers.Dense(2, name="a"), "b": keras.layers.Dense(3, name="b")}

    def call(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return {name: head(x) for name, head in self.heads.items()}


@pytest.fixture(scope="module")
def net():
    model = Net()
    model(keras.ops.zeros((1, 8, 8, 3)))
    return model


def paths(model):
    return [item.path for item in walk(model)]


def test_layers_in_attributes_lists_and_dicts_are_found_in_order(net):
    assert paths(net) == ["stem", "block/conv", "block/norm", "block_1/conv", "block_1/norm", "a", "b"]


def test_functional_and_sequential_models_leave_their_inputs_out():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc")], name="inner")
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.ReLU(name="relu")(inner(x)), name="outer")
    assert paths(model) == ["inner/fc", "relu"]


def test_a_shared_layer_appears_once():
    shared = keras.layers.Dense(4, name="shared")
    x = keras.Input((4,), name="x")
    tower = keras.Model(x, shared(x), name="tower")
    model = keras.Model(x, shared(tower(x)), name="outer")
    assert paths(model) == ["tower/shared"]


def test_stock_layers_that_own_layers_are_leaves():
    x = keras.Input((6, 4), name="x")
    y = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True), name="bi")(x)
    y = keras.layers.MultiHeadAttention(2, 3, name="mha")(y, y)
    y = keras.layers.TimeDistributed(keras.layers.Dense(2), name="td")(y)
    assert paths(keras.Model(x, y)) == ["bi", "mha", "td"]


def test_a_stock_application_is_walked_inside_another_model():
    base = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, include_top=False, name="base"
    )
    x = keras.Input((32, 32, 3))
    model = keras.Model(x, keras.layers.GlobalAveragePooling2D(name="gap")(base(x)))
    found = paths(model)
    assert found[0] == "base/Conv1"
    assert found[-1] == "gap"
    assert len(found) == len(set(found)) == len(base.layers) - 1 + 1


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("*conv", ["block/conv", "block_1/conv"]),
        ("block/*", ["block/conv", "block/norm"]),
        (["stem", "?"], ["stem", "a", "b"]),
        (lambda path, layer: isinstance(layer, keras.layers.Dense), ["a", "b"]),
    ],
)
def test_selection_by_pattern_patterns_and_predicate(net, layers, expected):
    assert [item.path for item in select_layers(net, layers)] == expected


def test_no_selection_means_all(net):
    assert select_layers(net) == walk(net)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("blok/conv", "Did you mean 'block/conv'"),
        ("blck_1/*", r"Did you mean 'block_1/\*'"),
        (["stem", "nowhere"], "'nowhere' matches no layer"),
        (lambda path, layer: False, "selects none of the 7 layers"),
        ([], "takes None, a glob pattern"),
        (3, "Received: 3"),
        ([keras.layers.Dense], "takes None, a glob pattern"),
    ],
)
def test_a_selection_that_matches_nothing_is_an_error(net, layers, message):
    with pytest.raises(OptionError, match=message):
        select_layers(net, layers)


def test_an_unbuilt_model_is_an_error():
    with pytest.raises(ModelError, match="Model 'net' is not built"):
        walk(Net())


def test_something_else_is_an_error():
    with pytest.raises(ModelError, match="A Keras 3 model was expected"):
        walk("model.keras")
