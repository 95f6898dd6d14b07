"""Costs of a network: figures of its graph, of its file, and of a device."""

import keras
import numpy as np
import pytest

import tfzip
from tests.bench.arm import arm_library, needs_qemu  # noqa: F401 (a fixture)
from tfzip.costs import costs
from tfzip.errors import OptionError, UnknownNameError


@pytest.fixture(scope="module")
def model():
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(5)]
    )


def test_figures_are_those_of_graph_and_file(model, tmp_path):
    found = tfzip.costs_of(model, ["macs", "parameters", "file_bytes", "arena_bytes"])
    assert found["macs"] == 36 * 4 * 27 + 144 * 5
    assert found["parameters"] == 27 * 4 + 4 + 144 * 5 + 5
    path = tfzip.export(model, tmp_path / "m.tflite").path
    assert found["file_bytes"] == path.stat().st_size
    assert found["arena_bytes"] == tfzip.inspect(path).arena_bytes > 4 * 8 * 8 * 3


def test_a_scheme_is_that_of_the_file(model):
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")
    whole = tfzip.costs_of(model, ["file_bytes"])["file_bytes"]
    assert tfzip.costs_of(model, ["file_bytes"], scheme="int8", calibration=images)["file_bytes"] < whole


def test_times_are_measured(model):
    found = tfzip.costs_of(model, ["latency_ms"], runs=20, launches=1, min_duration_s=0.01)
    assert 0 < found["latency_ms"] < 100


@needs_qemu
def test_instructions_are_counted_and_no_time_is_made_of_them(model, arm_library):  # noqa: F811
    assert tfzip.costs_of(model, ["instructions"], device="qemu:cortex-a53")["instructions"] > 1000
    with pytest.raises(OptionError, match="Cap instructions instead of latency_ms"):
        tfzip.costs_of(model, ["latency_ms"], device="qemu:cortex-a53")


def test_what_cannot_be_said_is_refused(model):
    with pytest.raises(UnknownNameError, match="Did you mean 'latency_ms'"):
        tfzip.costs_of(model, ["latency"])
    with pytest.raises(OptionError, match="Name an emulated core"):
        tfzip.costs_of(model, ["instructions"], runs=5, launches=1, min_duration_s=0.01)
    assert set(costs) == {"macs", "parameters", "file_bytes", "arena_bytes", "latency_ms", "instructions"}
