"""Damaged files end in a report or in one line of error, through Python and through the command line."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import tfzip
from benchmarks.mutants import mutants
from tests.tflite.files import converted
from tfzip.errors import TfzipError
from tfzip.runtime.reading import MEMORY_BYTES
from tfzip.sandbox import Sandbox

NAMES = ("float32", "int8", "lstm")


def damaged(count, seed):
    return mutants({name: converted(name).read_bytes() for name in NAMES}, count, seed)


def ends_well(call):
    """Returns whether a call reports, or raises one line of ours; lets anything else through."""
    try:
        call()
    except TfzipError as error:
        assert "\n" not in str(error), error  # noqa: PT017 (most calls raise, some do not)
        return "error"
    return "report"


def test_mutants_are_the_same_for_the_same_seed():
    assert list(damaged(15, 3)) == list(damaged(15, 3))
    assert len({kind for _, kind, _ in damaged(15, 3)}) == 5


def test_inspect_survives_damaged_files(tmp_path):
    path, ends = tmp_path / "mutant.tflite", Counter()
    with Sandbox(timeout_s=60, memory_bytes=MEMORY_BYTES) as child:
        for _, _, data in damaged(150, 0):
            path.write_bytes(data)
            ends[ends_well(lambda: tfzip.inspect(path, child=child).to_json())] += 1
    assert ends["report"] > 10
    assert ends["error"] > 10


@pytest.mark.parametrize("number", range(5))
def test_benchmark_survives_damaged_files(tmp_path, number):
    _, _, data = list(damaged(15, 7))[3 * number]
    (tmp_path / "mutant.tflite").write_bytes(data)
    quick = {"runs": 1, "launches": 1, "rounds": 1, "min_duration_s": 0, "warmup_s": 0, "timeout_s": 20}
    ends_well(lambda: tfzip.benchmark([tmp_path / "mutant.tflite"], **quick))


@pytest.mark.parametrize("number", range(5))
def test_compare_survives_damaged_files(tmp_path, number):
    import keras

    inputs = keras.Input((8, 8, 3), name="image")
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(inputs)))
    _, _, data = list(damaged(15, 8))[3 * number]
    (tmp_path / "mutant.tflite").write_bytes(data)
    samples = np.zeros((1, 8, 8, 3), np.float32)
    ends_well(lambda: tfzip.compare(model, tmp_path / "mutant.tflite", samples))


@pytest.mark.parametrize("number", range(5))
def test_the_command_line_prints_a_report_or_one_line(tmp_path, number):
    _, _, data = list(damaged(15, 9))[3 * number + 1]
    path = tmp_path / "mutant.tflite"
    path.write_bytes(data)
    command = [sys.executable, "-c", "from tfzip.cli import main; main()", "inspect", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1)
    assert len(done.stderr.splitlines()) == done.returncode
