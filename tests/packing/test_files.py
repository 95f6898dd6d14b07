"""`tfzip.pack` and `tfzip.unpack` on real files, and from the command line."""

import json
import sys
import zipfile
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

import tfzip
from tests.cli.process import tfzip as run
from tests.quantization.small import images, network
from tests.tflite.files import converted
from tfzip.cli import pack as pack_command
from tfzip.cli import unpack as unpack_command
from tfzip.errors import FileFormatError, MissingDependencyError, OptionError
from tfzip.packing import SizeReport, deflate_bytes, size_report
from tfzip.tflite.metadata import write_metadata


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "clustered.tflite"
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(64, 3)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(64, 3)(x))
    model = tfzip.cluster(keras.Model(inputs, keras.layers.Dense(10)(x)), 16)
    tfzip.export(model, path, scheme="int8", calibration=images()[0])
    return path


@pytest.mark.parametrize("name", ["float32", "int8", "int8_weights", "lstm", "island"])
def test_files_of_the_converter_come_back_the_same(name, tmp_path):
    packed = tfzip.pack(converted(name), tmp_path / "small")
    again = tfzip.unpack(packed, tmp_path / "again")
    assert again.read_bytes() == converted(name).read_bytes()
    assert packed.stat().st_size < again.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "small"]


@pytest.mark.parametrize(
    "scheme", ["w4a8", *(pytest.param(name, marks=pytest.mark.slow) for name in ("float16", "int16x8"))]
)
def test_files_of_other_schemes_come_back_the_same(scheme, tmp_path):
    calibration = None if scheme == "float16" else images()[0]
    tfzip.export(network(), tmp_path / "m.tflite", scheme=scheme, calibration=calibration)
    before = (tmp_path / "m.tflite").read_bytes()
    assert tfzip.pack(tmp_path / "m.tflite") == tmp_path / "m.tfzp"
    (tmp_path / "m.tflite").unlink()
    assert tfzip.unpack(tmp_path / "m.tfzp").read_bytes() == before


def test_a_clustered_file_is_half_as_large_packed_and_smaller_than_in_an_apk(clustered):
    sizes = size_report(clustered)
    assert sizes.device_bytes == clustered.stat().st_size
    assert sizes.packed_bytes < 0.55 * sizes.device_bytes
    assert sizes.packed_bytes < sizes.deflate_bytes


def test_the_size_in_an_apk_is_what_zip_compresses_to(clustered, tmp_path):
    with zipfile.ZipFile(tmp_path / "apk", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.write(clustered)
        (entry,) = archive.infolist()
    assert deflate_bytes(clustered) == entry.compress_size


def test_metadata_written_in_front_of_a_file_survives(clustered, tmp_path):
    path = tmp_path / "signed.tflite"
    path.write_bytes(clustered.read_bytes())
    write_metadata(path, {"note": "x" * 100})
    before = path.read_bytes()
    assert tfzip.unpack(tfzip.pack(path), tmp_path / "again").read_bytes() == before


def test_the_command_line_packs_and_unpacks(clustered, tmp_path):
    small, again = str(tmp_path / "small"), str(tmp_path / "again")
    done = run("pack", str(clustered), "-o", small, "--json")
    sizes = json.loads(done.stdout)
    assert SizeReport(*(sizes[name] for name in SizeReport.__dataclass_fields__)) == size_report(clustered)
    done = run("unpack", small, "-o", again)
    assert done.stdout.startswith(f"Written to {again}")
    assert Path(again).read_bytes() == clustered.read_bytes()
    shown = CliRunner().invoke(pack_command.command, [str(clustered), "-o", small]).output
    assert [line.split("  ")[0] for line in shown.splitlines()[:3]] == [
        "On the device",
        "In an APK",
        "Packed",
    ]


def test_damage_is_one_line_and_leaves_nothing(tmp_path):
    packed = tfzip.pack(converted("int8"), tmp_path / "small")
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    packed.write_bytes(bytes(data))
    done = run("unpack", str(packed), "-o", str(tmp_path / "again"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is no packed file or is damaged: its checksum does not match" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    assert CliRunner().invoke(unpack_command.command, [str(packed)]).exit_code == 1


def test_what_cannot_be_packed_is_said(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"not a model")
    with pytest.raises(FileFormatError, match="no .tflite or is damaged"):
        tfzip.pack(other)
    with pytest.raises(FileFormatError, match="no packed file or is damaged"):
        tfzip.unpack(other)
    for verb in (tfzip.pack, tfzip.unpack):
        with pytest.raises(FileFormatError, match=r"Give the path of a"):
            verb(tmp_path / "missing")
    with pytest.raises(OptionError, match="overwritten by its own result"):
        tfzip.pack(converted("int8"), converted("int8"))
    with pytest.raises(OptionError, match="cannot be written"):
        tfzip.pack(converted("int8"), tmp_path / "no" / "folder")


def test_without_zstandard_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tfzip\[pack\]'"):
        tfzip.pack(converted("int8"), tmp_path / "small")
