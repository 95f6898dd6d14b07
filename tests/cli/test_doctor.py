"""`tfzip doctor` finds what is there and says what to install for the rest."""

import json
import sys

import pytest
from click.testing import CliRunner

from tfzip.cli import doctor
from tfzip.errors import TfzipError
from tfzip.tflite import read


def test_it_finds_the_runtime_and_that_xnnpack_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("TFZIP_DATA", str(tmp_path))
    (tmp_path / "mine.npz").touch()
    result = CliRunner().invoke(doctor.command, ["--json"])
    findings = json.loads(result.output)
    litert = next(runtime for runtime in findings["runtimes"] if runtime["name"] == "litert")
    assert litert["runs"]
    assert litert["xnnpack"]
    assert findings["data_sets"] == ["mine"]
    assert findings["ready"]
    assert result.exit_code == 0


def test_what_is_missing_has_a_remedy_and_the_status_says_so(monkeypatch):
    monkeypatch.setattr(doctor, "_runtimes", list)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    result = CliRunner().invoke(doctor.command, [])
    assert "apt-get install adb" in " ".join(result.output.split())
    assert "Not ready" in result.output
    assert result.exit_code == 1


def test_the_probe_file_is_an_addition(tmp_path):
    (tmp_path / "add.tflite").write_bytes(doctor.tiny_file())
    graph = read(tmp_path / "add.tflite")
    assert [op.name for op in graph.main.operators] == ["ADD"]


def test_a_runtime_that_is_not_installed_is_an_error_of_the_probe(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    (tmp_path / "add.tflite").write_bytes(doctor.tiny_file())
    with pytest.raises(TfzipError, match="pip install tflite-runtime"):
        doctor.probe(str(tmp_path / "add.tflite"), "tflite_runtime")
