"""Shapes of graphs: nested, shared, several inputs and outputs, states, stock architectures."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.legacy.peer import assert_same, samples_for, sequential, shake
from tfzip import from_tf_keras
from tfzip.errors import ModelError
from tfzip.legacy.operations import OPERATIONS

L = tf_keras.layers


def tower(name):
    return tf_keras.Sequential([L.Input((6,)), L.Dense(4, activation="relu"), L.BatchNormalization()], name)


def nested():
    entry = L.Input((6,))
    inner_entry = L.Input((4,))
    inner = tf_keras.Model(inner_entry, [L.Dense(3)(inner_entry), inner_entry * 2.0], name="inner")
    small, double = inner(tower("front")(entry))
    return tf_keras.Model(entry, L.Concatenate()([small, double]))


def shared():
    a, b = L.Input((6,), name="left"), L.Input((6,), name="right")
    twin = tower("twin")
    scale = L.Dense(4, name="scale")
    return tf_keras.Model([a, b], scale(twin(a)) - scale(twin(b)))


def named():
    entries = {"wide": L.Input((6,), name="wide"), "deep": L.Input((4,), name="deep")}
    joined = L.Concatenate()([entries["wide"], entries["deep"]])
    return tf_keras.Model(entries, {"score": L.Dense(1)(joined), "label": L.Softmax()(joined)})


def inside_a_wrapper():
    return tf_keras.Sequential([L.Input((3, 6)), L.TimeDistributed(tower("step")), L.LSTM(3)])


def sequence_to_sequence():
    source, target = L.Input((5, 4)), L.Input((6, 4))
    _, h, c = L.LSTM(3, return_state=True)(source)
    return tf_keras.Model([source, target], L.LSTM(3, return_sequences=True)(target, initial_state=[h, c]))


def bidirectional_with_state():
    source, target = L.Input((5, 4)), L.Input((6, 4))
    _, *states = L.Bidirectional(L.GRU(3, return_state=True))(source)
    return tf_keras.Model([source, target], L.Bidirectional(L.GRU(3))(target, initial_state=states))


def explicit_mask():
    entry, keep = L.Input((5, 4)), L.Input((5,), dtype="bool")
    return tf_keras.Model([entry, keep], L.GRU(3)(entry, mask=keep))


def passthrough():
    entry = L.Input((6,))
    return tf_keras.Model(entry, [entry, L.Dense(2)(entry)])


def slashes():
    return tf_keras.Sequential([L.Input((6,)), L.Dense(3, name="block/dense")])


GRAPHS = [
    nested, shared, named, inside_a_wrapper, sequence_to_sequence, bidirectional_with_state, explicit_mask,
    passthrough, slashes,
]  # fmt: skip


@pytest.mark.parametrize("make", GRAPHS)
def test_a_graph_computes_the_same_in_keras_3(make):
    old = shake(make())
    new = from_tf_keras(old)
    assert_same(old, new)
    assert sum(np.size(w) for w in new.get_weights()) == sum(np.size(w) for w in old.get_weights())


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (tf_keras.applications.MobileNetV2, (32, 32, 3)),
        (tf_keras.applications.MobileNetV3Small, (32, 32, 3)),
        (tf_keras.applications.EfficientNetB0, (32, 32, 3)),
    ],
)
def test_a_stock_architecture_computes_the_same(make, shape):
    old = make(weights=None, input_shape=shape, classes=10)
    assert_same(old, from_tf_keras(old), tolerance=2e-5)


def test_a_sequential_model_stays_sequential_with_its_names():
    new = from_tf_keras(sequential((6,), L.Dense(3, name="first"), L.ReLU(name="second")))
    assert isinstance(new, keras.Sequential)
    assert [layer.name for layer in new.layers] == ["first", "second"]


def test_names_of_inputs_and_keys_of_outputs_stay():
    new = from_tf_keras(named())
    assert sorted(tensor.name for tensor in new.inputs) == ["deep", "wide"]
    assert sorted(new.output) == ["label", "score"]


def test_the_converted_model_trains_saves_and_loads(tmp_path):
    old = shake(nested())
    new = from_tf_keras(old)
    new.save(tmp_path / "new.keras")
    assert_same(old, keras.models.load_model(tmp_path / "new.keras"))
    new.compile("sgd", "mse")
    samples = samples_for(old).numpy()
    before = new.get_weights()[0].copy()
    new.fit(samples, np.ones((3, 7)), verbose=0)
    assert np.abs(new.get_weights()[0] - before).max() > 0


def test_the_keras_2_model_is_left_as_it_was():
    old = tf_keras.Sequential([L.Input((5, 4), batch_size=2), L.LSTM(3, stateful=True)])
    old(tf.ones((2, 5, 4)))
    weights = old.get_weights()
    states = [s.numpy() for s in old.layers[0].states]
    from_tf_keras(old)
    np.testing.assert_array_equal(states, [s.numpy() for s in old.layers[0].states])
    for before, after in zip(weights, old.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.abs(states).max() > 0


def test_a_layer_that_computes_something_else_is_named(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "nn.relu", lambda features: keras.ops.softplus(features))
    entry = L.Input((6,))
    old = shake(tf_keras.Model(entry, L.Dense(2)(tf.nn.relu(L.Dense(3)(entry), name="bent"))))
    with pytest.raises(ModelError, match=r"Layer 'tf\.nn\.relu[^']*' gives another output"):
        from_tf_keras(old)


def test_a_model_whose_outputs_are_random_is_converted_without_comparison():
    entry = L.Input((6,))
    old = tf_keras.Model(entry, L.Dropout(0.5)(entry, training=True))
    assert isinstance(from_tf_keras(old), keras.Model)


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.dense = L.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Subclassed, "'mine' .Subclassed. is subclassed.*SavedModel"),
        (lambda: tf_keras.Sequential([L.Dense(3)], "open"), "'open' has no input shape"),
        (lambda: tf_keras.Sequential([L.Input((3,)), L.Lambda(abs, name="code")]), "'code' is a Lambda"),
        (
            lambda: tf_keras.Sequential([L.Input((3,), ragged=True, name="rag"), L.Dense(3)]),
            "'rag' is sparse",
        ),
        (lambda: 3, "Received: int"),
    ],
    ids=["subclassed", "unbuilt", "lambda", "ragged", "number"],
)
def test_what_cannot_be_converted_is_said(make, words):
    with pytest.raises(ModelError, match=words):
        from_tf_keras(make())


def test_a_lambda_layer_is_kept_when_it_is_trusted():
    old = tf_keras.Sequential([L.Input((3,)), L.Lambda(tf.abs)])
    assert_same(old, from_tf_keras(old, unsafe=True))
