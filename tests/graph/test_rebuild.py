"""The same numbers from one flat model, which any Keras can load."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.graph import zoo
from tests.graph.test_flatten import Inner, TfOps, Weighted, everything_about
from tfzip.errors import ModelError, OptionError
from tfzip.graph import flatten, rebuild


def assert_same(expected, received):
    keras.tree.assert_same_structure(expected, received)
    for one, other in zip(keras.tree.flatten(expected), keras.tree.flatten(received), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


def inputs_for(model):
    graph = flatten(model)
    return zoo.random_inputs(keras.tree.map_structure(lambda ref: graph.tensors[ref.id], graph.inputs))


@pytest.mark.parametrize("name", zoo.MODELS)
def test_outputs_are_bit_identical_before_and_after_saving(name, tmp_path):
    model = zoo.built(name)
    before = everything_about(model)
    flat = rebuild(model)
    assert everything_about(model) == before
    inputs = inputs_for(model)
    expected = model(inputs)
    assert_same(expected, flat(inputs))
    assert not {id(v) for v in model.variables} & {id(v) for v in flat.variables}
    flat.save(tmp_path / "flat.keras")
    assert_same(expected, keras.models.load_model(tmp_path / "flat.keras")(inputs))


@pytest.mark.parametrize("name", ["residual", "siamese", "vit", "text", "crnn"])
def test_shared_weights_are_the_same_variables(name):
    model = zoo.randomize(zoo.MODELS[name]())
    before = everything_about(model)
    flat = rebuild(model, share_weights=True)
    assert everything_about(model) == before
    inputs = inputs_for(model)
    assert_same(model(inputs), flat(inputs))
    assert {id(v) for v in flat.weights} == {id(v) for v in model.weights}
    zoo.randomize(flat, seed=5)
    assert_same(model(inputs), flat(inputs))


def test_training_a_rebuilt_model_trains_the_sharing_original():
    model = zoo.residual()
    flat = rebuild(model, share_weights=True)
    flat.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 8, 8, 3)).astype("float32")
    before = [weight.numpy() for weight in model.weights]
    flat.fit(x, rng.normal(size=(8, 5)).astype("float32"), verbose=0)
    moved = [not np.array_equal(old, new.numpy()) for old, new in zip(before, model.weights, strict=True)]
    assert all(moved)
    assert_same(model(x), flat(x))


def test_a_rebuilt_model_trains_like_the_original():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 8, 8, 3)).astype("float32"), rng.normal(size=(16, 5)).astype("float32")
    trained = []
    for build in (lambda model: model, rebuild):
        model = zoo.randomize(zoo.residual())
        model.drop.rate = 0.0
        model = build(model)
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        trained.append(model.predict(x, verbose=0))
    np.testing.assert_allclose(trained[0], trained[1], rtol=1e-4, atol=1e-5)


def test_names_are_unique_and_come_from_paths():
    names = [layer.name for layer in rebuild(zoo.built("residual")).layers]
    assert len(names) == len(set(names))
    assert "block_1_step_conv" in names
    assert "block_1_step_1_norm" in names


def test_input_names_and_order_are_kept():
    model, flat = zoo.dict_inputs(), rebuild(zoo.dict_inputs())
    assert [tensor.name for tensor in flat.inputs] == [tensor.name for tensor in model.inputs]
    assert list(flat.input) == list(model.input)


def test_a_flat_model_loads_without_tfzip(tmp_path):
    model = zoo.built("residual")
    rebuild(model).save(tmp_path / "flat.keras")
    x = zoo.random_inputs(keras.Input((8, 8, 3)))
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['tfzip'] = None; import keras, numpy as np;"
        "np.save('y.npy', keras.models.load_model('flat.keras')(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model(x))


def mixed_net():
    """Half precision in plain layers, in a stock layer that owns layers, in a user's layer and in a cast."""
    with_policy = {"dtype": "mixed_float16"}
    x = keras.Input((6, 4), name="x")
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True, **with_policy), name="rnn", **with_policy)(
        x
    )
    y = layers.BatchNormalization(name="norm", **with_policy)(y)
    y = ops.cast(layers.Dense(4, name="fc", **with_policy)(y), "float16")
    return keras.Model(x, layers.Dense(2, name="head", dtype="float32")(y), name="mixed")


def test_mixed_precision_becomes_float32_with_the_same_weights():
    model = zoo.randomize(mixed_net())
    flat = rebuild(model, dtype="float32")
    assert {tensor.dtype for tensor in flatten(flat).tensors} == {"float32"}
    assert all(layer.compute_dtype == "float32" for layer in flat._flatten_layers())
    assert_same(model.get_weights(), flat.get_weights())
    inputs = inputs_for(model)
    np.testing.assert_allclose(model(inputs), flat(inputs), atol=0.05)
    assert_same(model(inputs), rebuild(model)(inputs))


def test_state_that_layers_derive_from_weights_follows():
    adapted = layers.Normalization(name="adapted")
    adapted.adapt(np.random.default_rng(0).normal(3, 2, (64, 4)))
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(2, name="fc")(adapted(x)))
    inputs = inputs_for(model)
    assert_same(model(inputs), rebuild(model)(inputs))


def test_frozen_layers_stay_frozen():
    flat = rebuild(zoo.built("nested_mobilenet"))
    assert [weight.path.split("/")[0] for weight in flat.trainable_weights] == [
        "kind",
        "kind",
        "valid",
        "valid",
    ]


def test_an_opaque_layer_is_kept_whole_with_its_weights():
    x = keras.Input((4,), name="x")
    model = zoo.randomize(keras.Model(x, Weighted(name="odd")(x)))
    inputs = inputs_for(model)
    assert_same(model(inputs), rebuild(model)(inputs))


def test_a_lambda_of_tensorflow_operations_is_kept():
    import tensorflow as tf

    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Lambda(lambda t: tf.nn.relu(t), output_shape=(4,), name="odd")(x))
    assert flatten(model).opaque[0][0] == "odd"
    inputs = inputs_for(model)
    assert_same(model(inputs), rebuild(model)(inputs))


def test_a_layer_that_cannot_be_made_again_is_named():
    class Odd(TfOps):
        def __init__(self, function, **kwargs):
            super().__init__(**kwargs)
            self.function = function

    x = keras.Input((4,), name="x")
    model = keras.Model(x, Inner(Odd(lambda t: t, name="odd"), name="inner")(x))
    with pytest.raises(ModelError, match=r"Layer 'inner/odd' \(Odd\) cannot be made again.*need get_config"):
        rebuild(model)
    inputs = inputs_for(model)
    assert_same(model(inputs), rebuild(model, share_weights=True)(inputs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype must be 'float32' or None"),
        ({"dtype": "float32", "share_weights": True}, "cannot share weights"),
    ],
)
def test_options_that_contradict_are_errors(options, message):
    with pytest.raises(OptionError, match=message):
        rebuild(zoo.built("nested_twice"), **options)
