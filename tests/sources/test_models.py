"""What a model spec names, and what is said when it names nothing usable."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzip import load_model
from tfzip.errors import ModelError
from tfzip.sources.models import check_finite

X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


def small():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="first"), keras.layers.Dense(2)])


def with_code():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2, name="double")])
    entry = keras.Input((4,))
    return keras.Model(entry, keras.layers.Dense(2)(inner(entry)))


@keras.saving.register_keras_serializable("tests")
class Halve(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder with the user's code, made the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_models.py").write_text(
        "import keras\n"
        "def build():\n"
        "    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])\n"
        "def broken():\n"
        "    return keras.layers.Dense(3)(keras.Input((4, None)))\n"
        "def number():\n"
        "    return 7\n"
    )


def test_a_model_is_returned_as_it_is():
    model = small()
    assert load_model(model) is model


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_gives_the_same_outputs(tmp_path, suffix, capsys):
    model = small()
    path = tmp_path / f"model{suffix}"
    model.save(path)
    np.testing.assert_array_equal(load_model(str(path))(X), model(X))


def test_a_saved_model_keeps_the_names_of_inputs_and_outputs(tmp_path):
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    model = keras.Model([a, b], {"sum": a + b, "product": keras.layers.Dense(2)(a * b)})
    model.export(tmp_path / "saved", verbose=False)
    loaded = load_model(tmp_path / "saved")
    assert [tensor.name for tensor in loaded.inputs] == ["left", "right"]
    assert [tuple(tensor.shape) for tensor in loaded.inputs] == [(None, 4), (None, 4)]
    received = loaded({"left": X, "right": X + 1})
    expected = model([X, X + 1])
    assert set(received) == {"sum", "product"}
    for key in expected:
        np.testing.assert_allclose(received[key], expected[key], rtol=1e-6)


def test_a_loaded_saved_model_exports_again_with_its_names(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((2, 4), name="features")])
        def __call__(self, features):
            return {"doubled": features * 2.0}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "one"), signatures=module.__call__)
    load_model(tmp_path / "one").export(tmp_path / "two", verbose=False)
    signature = tf.saved_model.load(str(tmp_path / "two")).signatures["serving_default"]
    assert list(signature.structured_input_signature[1]) == ["features"]
    np.testing.assert_allclose(signature(features=tf.constant(X))["doubled"], X * 2)


class Two(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 4))])
    def up(self, x):
        return x + 1.0

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def down(self, x):
        return x - 1.0


def test_the_only_signature_of_a_saved_model_is_used_whatever_its_name(tmp_path):
    module = Two()
    tf.saved_model.save(module, str(tmp_path / "one"), signatures={"up": module.up})
    (received,) = load_model(tmp_path / "one")({"x": X}).values()
    np.testing.assert_allclose(received, X + 1)


@pytest.mark.parametrize(
    ("signatures", "words"),
    [
        ({"up", "down"}, r"several signatures \(down, up\).*serving_default"),
        (set(), "no signature"),
        ({"down"}, "'x' .* no known rank"),
    ],
    ids=["several", "none", "rank"],
)
def test_a_saved_model_without_a_usable_signature_is_refused(tmp_path, signatures, words):
    module = Two()
    chosen = {name: getattr(module, name) for name in signatures}
    tf.saved_model.save(module, str(tmp_path / "one"), signatures=chosen)
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "one")


def test_a_function_of_the_current_folder_is_called(package):
    assert load_model("their_models:build").output_shape == (None, 3)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("their_models:biuld", "no function 'biuld'. Did you mean 'build'"),
        ("their_models:number", "is a int, not a keras.Model"),
        ("their_models:broken", r"failed at .*their_models\.py:5 in broken: ValueError"),
        ("their_model:build", "needs the module 'their_model', which is not found"),
    ],
)
def test_a_function_that_gives_no_model_is_reported_with_its_place(package, spec, words):
    with pytest.raises(ModelError, match=words):
        load_model(spec)


@pytest.mark.parametrize("name", ["code.keras", "code.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_code_in_a_file_is_refused_unless_trusted(tmp_path, name):
    model = with_code()
    model.save(tmp_path / name)
    with pytest.raises(ModelError, match=r"Lambda layer.*'double'.*--unsafe"):
        load_model(tmp_path / name)
    np.testing.assert_allclose(load_model(tmp_path / name, unsafe=True)(X), model(X), rtol=1e-6)


def test_a_python_lambda_anywhere_in_a_file_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    layer = {"class_name": "Dense", "config": {"activation": {"class_name": "__lambda__", "config": {}}}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Model", "config": {"layers": [layer]}}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
    with pytest.raises(ModelError, match="a Python lambda.*--unsafe"):
        load_model(path)


def test_a_saved_model_that_writes_files_is_refused(tmp_path):
    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4))])
        def __call__(self, x):
            tf.io.write_file(str(tmp_path / "written"), "x")
            return x

    module = Writer()
    tf.saved_model.save(module, str(tmp_path / "one"), signatures=module.__call__)
    with pytest.raises(ModelError, match=r"WriteFile.*--unsafe"):
        load_model(tmp_path / "one")


def test_an_unregistered_class_is_named_with_the_remedy(tmp_path, monkeypatch):
    keras.Sequential([keras.Input((4,)), Halve()]).save(tmp_path / "own.keras")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tests>Halve")
    with pytest.raises(ModelError, match=r"'Halve'.*register_keras_serializable.*package\.module:function"):
        load_model(tmp_path / "own.keras")


def test_a_missing_file_suggests_the_near_name(tmp_path):
    small().save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"Did you mean 'model\.keras'"):
        load_model(tmp_path / "modle.keras")
    with pytest.raises(ModelError, match="folder .* does not exist"):
        load_model(tmp_path / "none" / "model.keras")


@pytest.mark.parametrize("name", ["model.tflite", "folder"])
def test_what_is_no_model_is_refused_with_what_is_expected(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.tflite").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"Expected a \.keras or \.h5 file"):
        load_model(tmp_path / name)


def damaged_files(folder):
    model = folder / "good.keras"
    small().save(model)
    whole = model.read_bytes()
    (folder / "truncated.keras").write_bytes(whole[: len(whole) // 2])
    (folder / "text.keras").write_text("not a model")
    (folder / "flipped.keras").write_bytes(whole[:2000] + b"\0\0\0\0" + whole[2004:])
    (folder / "text.h5").write_text("not a model")
    with zipfile.ZipFile(folder / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with zipfile.ZipFile(folder / "list.keras", "w") as archive:
        archive.writestr("config.json", "[1]")
        archive.writestr("metadata.json", "{}")
    with zipfile.ZipFile(folder / "deep.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
        archive.writestr("metadata.json", "{}")
    with zipfile.ZipFile(folder / "hollow.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {}}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
    with h5py.File(folder / "weights.h5", "w") as file:
        file["kernel"] = np.ones(3)
    with h5py.File(folder / "config.h5", "w") as file:
        file.attrs["model_config"] = "{"
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"\xff\xfe not a message")


@pytest.mark.parametrize(
    "name",
    ["truncated.keras", "text.keras", "flipped.keras", "text.h5", "other.keras", "list.keras", "deep.keras",
     "hollow.keras", "weights.h5", "config.h5", "saved"],
)  # fmt: skip
def test_a_damaged_file_is_one_line_with_its_name(tmp_path, name):
    damaged_files(tmp_path)
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(value):
    model = small()
    kernel, bias = model.get_layer("first").get_weights()
    kernel[1, 2] = value
    check_finite(model)
    model.get_layer("first").set_weights([kernel, bias])
    with pytest.raises(ModelError, match=r"first/kernel are not finite: 1 of 12"):
        check_finite(model)


@pytest.mark.parametrize(("dtype", "large"), [("bfloat16", 1e30), ("float64", 1e300)])
def test_large_weights_of_other_precisions_are_finite(dtype, large):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=dtype)])
    model.layers[0].set_weights([np.full((4, 3), large), np.zeros(3)])
    check_finite(model)


def test_a_module_that_is_not_there_is_named_with_the_remedy():
    with pytest.raises(ModelError, match="needs the module 'nowhere_at_all', which is not found. Run from"):
        load_model("nowhere_at_all:model")
