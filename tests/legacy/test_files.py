"""Keras 2 models in files: every format loads, code and damage are refused."""

import json
import sys
import zipfile

import keras
import pytest
import tf_keras

from tests.legacy.peer import assert_same, sequential
from tfzip import from_tf_keras, load_model
from tfzip.errors import MissingDependencyError, ModelError
from tfzip.legacy.door import tf_keras as import_tf_keras

L = tf_keras.layers
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning"),
]


@tf_keras.saving.register_keras_serializable("tests")
class Negate(L.Layer):
    def call(self, inputs):
        return -inputs


@pytest.fixture
def old():
    return sequential((8, 8, 3), L.Conv2D(2, 3), L.BatchNormalization(), L.Flatten(), L.Dense(3))


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".keras"])
def test_load_model_converts_a_file_of_keras_2(tmp_path, old, suffix):
    old.save(tmp_path / f"old{suffix}", save_format=None if suffix == ".keras" else "h5")
    new = load_model(tmp_path / f"old{suffix}")
    assert isinstance(new, keras.Sequential)
    assert_same(old, new)


def test_a_saved_model_of_keras_2_becomes_layers_again(tmp_path, old):
    old.save(tmp_path / "old")
    assert [type(layer).__name__ for layer in from_tf_keras(tmp_path / "old").layers] == [
        "Conv2D", "BatchNormalization", "Flatten", "Dense",
    ]  # fmt: skip


def test_load_model_converts_a_keras_2_model_in_memory(old):
    assert_same(old, load_model(old))


@pytest.mark.parametrize("name", ["code.h5", "code.keras", "code"])
def test_a_lambda_layer_in_a_file_is_refused_unless_trusted(tmp_path, name):
    old = tf_keras.Sequential([L.Input((3,)), L.Lambda(lambda x: x * 2.0, name="double")])
    old.save(tmp_path / name)
    with pytest.raises(ModelError, match=r"a Lambda layer .*'double'.*--unsafe"):
        from_tf_keras(tmp_path / name)
    assert_same(old, from_tf_keras(tmp_path / name, unsafe=True))


def test_a_layer_of_the_user_in_a_file_is_named(tmp_path):
    tf_keras.Sequential([L.Input((3,)), Negate(name="minus")]).save(tmp_path / "own.keras")
    with pytest.raises(ModelError, match="'minus' is a Negate"):
        load_model(tmp_path / "own.keras")


def test_a_class_that_keras_2_does_not_know_asks_for_a_function(tmp_path, monkeypatch):
    tf_keras.Sequential([L.Input((3,)), Negate()]).save(tmp_path / "own.h5")
    monkeypatch.delitem(tf_keras.saving.get_custom_objects(), "tests>Negate")
    with pytest.raises(ModelError, match="Negate.*package.module:function"):
        load_model(tmp_path / "own.h5")


@pytest.mark.parametrize("kind", ["function", "Dense"])
def test_a_module_named_by_a_file_of_keras_2_is_not_imported(tmp_path, kind, monkeypatch):
    (tmp_path / "harmful.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "model.keras"
    tf_keras.Sequential([L.Input((3,)), L.Dense(2, activation="relu")]).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    foreign = {"module": "harmful", "class_name": kind, "config": "run", "registered_name": "run"}
    config = files["config.json"].decode().replace('"relu"', json.dumps(foreign))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {"config.json": config.encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="'run' of module 'harmful'"):
        load_model(path)
    assert not (tmp_path / "ran").exists()


def test_a_saved_model_that_keras_2_did_not_write_is_refused(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).export(tmp_path / "new", verbose=False)
    with pytest.raises(ModelError, match=r"keras_metadata\.pb.*load_model"):
        from_tf_keras(tmp_path / "new")


def test_damaged_metadata_is_refused(tmp_path, old):
    old.save(tmp_path / "old")
    (tmp_path / "old" / "keras_metadata.pb").write_bytes(b"\xff\xfe not a message")
    with pytest.raises(ModelError, match="damaged"):
        from_tf_keras(tmp_path / "old")


def test_a_missing_file_is_said():
    with pytest.raises(ModelError, match=r"no model at nowhere\.h5"):
        from_tf_keras("nowhere.h5")


def test_without_tf_keras_the_remedy_is_an_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tfzip\[legacy\]'"):
        import_tf_keras()
