"""One flat list of operations, whatever the model is made of, and a model that never knew."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tests.graph import zoo
from tfzip.errors import ModelError
from tfzip.graph import flatten, walk
from tfzip.graph.flat_graph import TensorRef


def everything_about(model):
    """Returns all that a trace might disturb: attributes, recorded calls, weights, config."""
    found = list(model._flatten_layers())
    found += [operation for layer in found for operation in getattr(layer, "operations", ())]
    state = {
        id(item): (
            {key: id(value) for key, value in vars(item).items()},
            len(item._inbound_nodes),
            len(item._outbound_nodes),
        )
        for item in found
    }
    return state, [weight.numpy().tobytes() for weight in model.variables], config_of(model)


def config_of(model):
    try:
        config = model.get_config()
    except NotImplementedError:  # a user's layer that Keras cannot describe
        return None
    return re.sub(
        r'"code": "[^"]*"', "", json.dumps(config, default=str)
    )  # byte code is not dumped the same twice


@pytest.mark.parametrize("name", zoo.MODELS)
def test_flattening_leaves_the_model_exactly_as_it_was(name):
    model = zoo.built(name)
    before = everything_about(model)
    flatten(model)
    assert everything_about(model) == before


@pytest.mark.parametrize("name", zoo.MODELS)
def test_nothing_stays_opaque_in_models_of_layers_and_ops(name):
    graph = flatten(zoo.built(name), strict=True)
    assert graph.opaque == ()
    assert not any(isinstance(node.operation, keras.Model | layers.Lambda) for node in graph.nodes)


@pytest.mark.parametrize("name", zoo.MODELS)
def test_nodes_come_after_what_they_read(name):
    graph = flatten(zoo.built(name))
    made = set(graph.input_ids())
    for node in graph.nodes:
        assert set(node.inputs) <= made
        assert not made & set(node.outputs)
        made |= set(node.outputs)
    assert made == set(range(len(graph.tensors)))
    assert set(graph.output_ids()) <= made


@pytest.mark.parametrize("name", zoo.MODELS)
def test_layers_keep_the_paths_of_walk(name):
    model = zoo.built(name)
    known = {id(item.layer): item.path for item in walk(model)}
    for node in flatten(model).nodes:
        if node.is_layer:
            assert node.path == known[id(node.operation)]


def test_a_subclassed_model_with_residual_layers_in_lists_becomes_its_operations():
    paths = [node.path for node in flatten(zoo.built("residual")).nodes]
    block = ["step/conv", "step/norm", "relu", "step_1/conv", "step_1/norm", "add", "relu_1"]
    projected = [*block[:5], "project", *block[5:]]
    assert paths == (
        ["stem/conv", "stem/norm", "relu"]
        + [f"block/{name}" for name in block]
        + [f"block_1/{name}" for name in projected]
        + [f"block_2/{name}" for name in block]
        + ["mean", "drop", "head"]
    )


def test_a_shared_tower_gives_two_calls_of_the_same_layers():
    nodes = [node for node in flatten(zoo.built("siamese")).nodes if node.path == "tower/conv"]
    assert len(nodes) == 2
    assert nodes[0].operation is nodes[1].operation
    assert nodes[0].inputs == (0,)
    assert nodes[1].inputs == (1,)


def test_a_nested_application_has_one_node_for_each_of_its_operations():
    model = zoo.built("nested_mobilenet")
    base = model.get_layer("base")
    assert len(flatten(model).nodes) == (len(base.operations) - 1) + 4


def test_structures_names_shapes_and_types_are_described():
    graph = flatten(zoo.built("dict_inputs"))
    described = {key: graph.tensors[ref.id] for key, ref in graph.inputs.items()}
    assert {key: (spec.name, spec.shape, spec.dtype) for key, spec in described.items()} == {
        "age": ("age", (None, 1), "float32"),
        "word": ("word", (None, 3), "int32"),
    }
    assert {key: graph.tensors[ref.id].shape for key, ref in graph.outputs.items()} == {
        "score": (None, 1),
        "code": (None, 4),
    }


def test_tokens_of_a_subclassed_model_are_integers():
    graph = flatten(zoo.built("text"))
    assert graph.tensors[graph.inputs.id].dtype == "int32"


def test_a_mask_that_keras_hands_past_operations_is_written_out():
    nodes = {node.path: node for node in flatten(zoo.built("text")).nodes}
    assert nodes["lstm"].kwargs == {"mask": TensorRef(nodes["not_equal"].outputs[0])}


def test_training_is_bound_only_where_the_code_fixes_it():
    fixed = {
        node.path: node.kwargs.get("training")
        for node in flatten(zoo.built("nested_mobilenet")).nodes
        if node.is_layer
    }
    assert fixed["base/bn_Conv1"] is False
    assert fixed["base/Conv1"] is None
    assert fixed["pool"] is None
    assert not any("training" in node.kwargs for node in flatten(zoo.built("residual")).nodes)


def test_training_fixed_to_true_survives_in_a_nested_functional_model():
    x = keras.Input((4,))
    inner = keras.Model(x, layers.Dropout(0.5, name="drop")(x, training=True), name="inner")
    graph = flatten(keras.Model(x, inner(x)))
    assert [node.kwargs for node in graph.nodes] == [{"training": True}]


class Weighted(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fc = layers.Dense(4, name="fc")

    def build(self, shape):
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")
        self.fc.build(shape)

    def call(self, x):
        return self.fc(x) * self.scale


class TfOps(layers.Layer):
    def call(self, x):
        return tf.nn.relu(x)


class DataDependent(layers.Layer):
    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return x if ops.sum(x) > 0 else -x


class Conditional(layers.Layer):
    def call(self, x):
        return ops.cond(ops.sum(x) > 0, lambda: x, lambda: -x)


class Returning(layers.Layer):
    def call(self, x):
        self.last = x
        return ops.relu(x)


class Inner(layers.Layer):
    """Holds a layer that cannot be flattened between two that can."""

    def __init__(self, odd, **kwargs):
        super().__init__(**kwargs)
        self.before, self.odd, self.after = layers.Dense(4, name="before"), odd, layers.Dense(4, name="after")

    def build(self, shape):
        for layer in (self.before, self.odd, self.after):
            layer.build(shape)

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return ops.tanh(self.after(self.odd(self.before(x))))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (Weighted, "owns variables that its call uses directly"),
        (TfOps, "KerasTensor"),
        (DataDependent, "KerasTensor cannot be used as a boolean"),
        (Conditional, "Python functions hide operations"),
    ],
)
def test_what_cannot_be_flattened_stays_whole_and_says_why(odd, reason):
    model = keras.Sequential([Inner(odd(name="odd"), name="inner")], name="model")
    model(np.ones((1, 4), "float32"))
    before = everything_about(model)
    graph = flatten(model)
    assert [node.path for node in graph.nodes] == ["inner/before", "inner/odd", "inner/after", "inner/tanh"]
    ((path, received),) = graph.opaque
    assert path == "inner/odd"
    assert reason in received
    assert "\n" not in received
    with pytest.raises(ModelError, match=r"Layer 'inner/odd' cannot be flattened: .*keras\.ops"):
        flatten(model, strict=True)
    assert everything_about(model) == before


def test_a_symbolic_tensor_kept_by_a_users_call_is_taken_away_again():
    x = keras.Input((4,))
    layer = Returning()
    model = keras.Model(x, layer(x))
    model(np.ones((1, 4), "float32"))
    kept = layer.last
    flatten(model, strict=True)
    assert layer.last is kept


def test_a_model_that_asks_for_training_shows_its_inference_branch_and_says_so():
    class Asking(keras.Model):
        def __init__(self):
            super().__init__(name="asking")
            self.noise, self.fc = layers.GaussianNoise(1.0, name="noise"), layers.Dense(2, name="fc")

        def call(self, x, training=False):
            if training:
                x = self.noise(x)
            return self.fc(x)

    model = Asking()
    model(np.ones((1, 3), "float32"))
    graph = flatten(model, strict=True)
    assert [node.path for node in graph.nodes] == ["fc"]
    assert graph.inference_only == ("asking",)


def test_a_model_that_cannot_be_looked_into_at_all_is_one_opaque_node():
    class Odd(keras.Model):
        def __init__(self):
            super().__init__(name="odd")
            self.fc = layers.Dense(2, name="fc")

        def call(self, x):
            return tf.nn.relu(self.fc(x))

    model = Odd()
    model(np.ones((1, 3), "float32"))
    graph = flatten(model)
    assert [node.path for node in graph.nodes] == ["odd"]
    assert graph.opaque[0][0] == "odd"


class TwoArguments(keras.Model):
    def call(self, a, b):
        return a + b


def test_a_model_of_several_arguments_is_an_error_with_a_remedy():
    model = TwoArguments(name="two")
    model(np.ones((1, 2), "float32"), np.ones((1, 2), "float32"))
    with pytest.raises(ModelError, match=r"Model 'two' cannot be called on symbolic inputs.*Wrap it"):
        flatten(model)
    a, b = keras.Input((2,)), keras.Input((2,))
    graph = flatten(keras.Model([a, b], model(a, b)), strict=True)
    assert [node.path for node in graph.nodes] == ["two/add"]


def test_a_model_that_never_saw_a_shape_is_an_error_with_a_remedy():
    class Odd(TwoArguments):
        def call(self, x):
            return x if ops.max(x) > 0 else -x

        def get_build_config(self):
            return None

    model = Odd(name="odd")
    model(np.ones((1, 3), "float32"))
    with pytest.raises(ModelError, match=r"Model 'odd' must know the shape of one argument.*wrap it"):
        flatten(model)


def test_mixed_precision_shows_its_casts():
    x = keras.Input((8, 8, 3))
    with_policy = {"dtype": "mixed_float16"}
    block = keras.Sequential([layers.Conv2D(2, 3, name="conv", **with_policy)], name="block")
    graph = flatten(keras.Model(x, layers.Softmax(name="prob", dtype="float32")(block(x))))
    assert [(node.path, graph.tensors[node.outputs[0]].dtype) for node in graph.nodes] == [
        ("cast", "float16"),
        ("block/conv", "float16"),
        ("prob", "float32"),
    ]
