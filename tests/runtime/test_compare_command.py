"""`tfzip compare`: output, JSON, bounds and one-line errors."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tests.runtime.conftest import samples
from tfzip.cli.compare import command
from tfzip.errors import FileFormatError, OptionError


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", **samples(12))
    return folder


def run(saved, file, *options):
    arguments = [str(saved / "model.keras"), str(file), "--data", str(saved / "data.npz"), *options]
    return CliRunner().invoke(command, arguments)


def test_the_command_prints_the_report(saved, files):
    result = run(saved, files("int8"), "--samples", "5", "--min-agreement", "0.5")
    assert result.exit_code == 0, result.output
    assert "on 5 samples" in result.stdout
    assert "No operation diverges" in result.stdout


def test_json_is_all_that_stands_on_standard_output(saved, files):
    facts = json.loads(run(saved, files("int8"), "--json").stdout)
    assert facts["samples"] == 12
    assert facts["agreement"] is not None


def test_too_little_agreement_ends_with_status_one(saved, files):
    from tests.runtime.files import with_bytes
    from tests.runtime.test_divergence import kernel_of

    tensor = kernel_of(files("int8"), "FULLY_CONNECTED")
    damaged = with_bytes(files("int8"), tensor, lambda data: bytes(reversed(data)))
    result = run(saved, damaged, "--min-agreement", "1.0")
    assert result.exit_code == 1
    assert "--min-agreement asks for 100.00 %" in result.stderr


def test_bad_input_is_a_tfzip_error_of_one_line(saved, files, tmp_path):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(files().read_bytes()[:500])
    for result, kind in (
        (run(saved, damaged), FileFormatError),
        (run(saved, tmp_path / "missing.tflite"), FileFormatError),
        (run(saved, files(), "--samples", "0"), OptionError),
        (run(saved, files(), "--min-agreement", "2"), OptionError),
    ):
        assert isinstance(result.exception, kind), result.exception
        assert "\n" not in str(result.exception)
