"""Metadata go in and out, and the rest of the file keeps its bytes."""

import os
import shutil

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import Model, ModelT

from tests.tflite.files import converted, tensor, written
from tfzip.errors import FileFormatError, OptionError
from tfzip.tflite import metadata, read, read_metadata, write_metadata

FACTS = {"scheme": "int8", "recipe": "größer\n" * 40, "empty": ""}


@pytest.fixture(params=["float32", "int8", "lstm", "flex"])
def original(request):
    return converted(request.param)


@pytest.fixture
def signed(original, tmp_path):
    path = tmp_path / "signed.tflite"
    shutil.copy(original, path)
    write_metadata(path, FACTS)
    return path


def output_of(path):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    values = np.random.default_rng(0).uniform(-100, 100, given["shape"])
    interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_what_is_written_is_read(original, signed):
    assert read_metadata(original) == {}
    assert read_metadata(signed) == FACTS
    assert set(read(original).metadata_names) | {"tfzip"} == set(read(signed).metadata_names)


def test_the_converters_file_is_kept_inside_byte_for_byte(original, signed):
    old, new = original.read_bytes(), signed.read_bytes()
    assert new.endswith(old)
    assert (len(new) - len(old)) % 16 == 0, "buffers must keep their alignment"


def test_another_parser_sees_the_same_model_with_one_entry_more(original, signed):
    old, new = (
        ModelT.InitFromObj(Model.GetRootAs(bytearray(path.read_bytes()), 0)) for path in (original, signed)
    )
    assert [m.name for m in new.metadata] == [*(m.name for m in old.metadata), b"tfzip"]
    assert len(new.buffers) == len(old.buffers) + 1
    for mine, theirs in zip(new.buffers, old.buffers, strict=False):
        np.testing.assert_array_equal(mine.data, theirs.data)
    assert new.description == old.description
    assert [len(s.operators) for s in new.subgraphs] == [len(s.operators) for s in old.subgraphs]
    assert [s.signatureKey for s in new.signatureDefs] == [s.signatureKey for s in old.signatureDefs]


@pytest.mark.parametrize("name", ["float32", "int8", "lstm"])
def test_litert_verifies_a_signed_file_and_computes_the_same(name, tmp_path):
    path = tmp_path / "signed.tflite"
    shutil.copy(converted(name), path)
    write_metadata(path, FACTS)
    np.testing.assert_array_equal(output_of(path), output_of(converted(name)))


def test_signing_again_replaces_and_does_not_grow(signed):
    size = signed.stat().st_size
    for _ in range(3):
        write_metadata(signed, {"scheme": "float32"})
        assert read_metadata(signed) == {"scheme": "float32"}
        write_metadata(signed, FACTS)
    assert signed.stat().st_size == size


def test_an_entry_that_another_tool_repacked_is_replaced(signed, monkeypatch):
    monkeypatch.setattr(metadata, "MARK", b"none")
    write_metadata(signed, {"scheme": "float16"})
    assert read_metadata(signed) == {"scheme": "float16"}
    assert read(signed).metadata_names.count("tfzip") == 1


def test_a_failure_leaves_the_file_and_nothing_beside_it(signed, monkeypatch):
    before = signed.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileFormatError, match="No space left"):
        write_metadata(signed, {"scheme": "float32"})
    assert signed.read_bytes() == before
    assert list(signed.parent.iterdir()) == [signed]


def test_the_permissions_of_the_file_stay(signed):
    signed.chmod(0o640)
    write_metadata(signed, {})
    assert signed.stat().st_mode & 0o777 == 0o640


def test_only_strings_are_taken(signed):
    with pytest.raises(OptionError, match="strings by name"):
        write_metadata(signed, {"samples": 3})


@pytest.mark.parametrize("text", [b"[1]", b"{", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_an_entry_that_is_no_object_of_strings_is_an_error(signed, text):
    content = signed.read_bytes()
    begin = content.index(b'{"scheme"')
    size = int.from_bytes(content[begin - 4 : begin], "little")
    filled = text.ljust(size)[:size] if len(text) < size else b"[" * size
    signed.write_bytes(content[:begin] + filled + content[begin + size :])
    with pytest.raises(FileFormatError, match="JSON object of strings"):
        read_metadata(signed)


def test_weights_outside_the_flatbuffer_are_refused(tmp_path):
    path = written(tmp_path / "f", [tensor((2,), buffer=1), tensor((2,))], buffers=[[0] * 8])
    model = ModelT.InitFromObj(Model.GetRootAs(bytearray(path.read_bytes()), 0))
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 16, 8
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    assert read(path).main.tensors[0].data_offset == 16
    with pytest.raises(FileFormatError, match="outside its flatbuffer"):
        write_metadata(path, {})


def test_a_broken_file_is_not_signed(tmp_path):
    path = tmp_path / "f.tflite"
    path.write_bytes(converted("int8").read_bytes()[:100])
    with pytest.raises(FileFormatError, match="damaged"):
        write_metadata(path, {})
    assert path.stat().st_size == 100
