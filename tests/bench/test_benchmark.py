"""Reports on real files: verdicts, the schema, data, flags, and a fuzz of damaged files."""

import json
from pathlib import Path

import numpy as np
import pytest

import tfzip
from tests.bench.schema_check import violations
from tests.bench.test_devices import RecordingDevice
from tfzip.bench import BenchPlan
from tfzip.bench.benchmark import _disturbances
from tfzip.bench.devices import Measurement, devices
from tfzip.bench.kept import flaw_of
from tfzip.bench.worker import WarmUp
from tfzip.errors import DataError, FileFormatError, OptionError, TfzipError
from tfzip.sandbox import Sandbox

SCHEMA = json.loads((Path(tfzip.__file__).parent / "bench" / "schema.json").read_text())
QUICK = {"runs": 40, "min_duration_s": 0.1, "launches": 3, "warmup_s": 0.1}

THOROUGH = {**QUICK, "launches": 5}


@pytest.fixture(scope="module")
def report(small, large):
    return tfzip.benchmark([small, large], threads=(1, 2), **THOROUGH)


def test_a_clearly_larger_file_is_slower(report, small, large):
    for verdict, threads in zip(report.verdicts, (1, 2), strict=True):
        assert (verdict.file, verdict.baseline, verdict.threads) == (str(large), str(small), threads)
        assert verdict.verdict == "slower"
        assert 1.0 < verdict.low < verdict.ratio < verdict.high
    assert "slower than" in str(report)


def test_two_identical_files_show_no_difference(small, folder):
    twin = folder / "twin.tflite"
    twin.write_bytes(small.read_bytes())
    for seed in range(3):  # by design one verdict in a hundred may be wrong; three in a row never
        (verdict,) = tfzip.benchmark([small, twin], seed=seed, **THOROUGH).verdicts
        if verdict.verdict == "no difference":
            break
    assert verdict.verdict == "no difference"
    assert verdict.low < 1 < verdict.high or abs(verdict.ratio - 1) < 0.01
    assert str(verdict).startswith("No difference between")


def test_the_json_follows_the_schema(report):
    document = json.loads(report.to_json())
    assert violations(document, SCHEMA, SCHEMA) == []


def test_the_schema_catches_what_is_missing_or_wrong(report):
    document = json.loads(report.to_json())
    del document["latencies"][0]["p50_ms"]
    document["verdicts"][1]["verdict"] = "perhaps"
    document["environment"]["cores"] = "two"
    found = violations(document, SCHEMA, SCHEMA)
    assert len(found) == 3
    assert found[1].startswith("$.latencies[0]: missing p50_ms")


def test_the_figures_follow_from_the_raw_samples(report, small):
    latency = report.latencies[0]
    good = [one for one in latency.launches if not one.left_out] or latency.launches
    samples = [x for launch in good for block in launch.samples_ms for x in block]
    assert latency.runs == len(samples) >= 40
    assert latency.min_ms == pytest.approx(min(samples), abs=1e-6)
    assert latency.p50_ms == pytest.approx(np.median(samples), abs=1e-6)
    assert latency.p99_ms == pytest.approx(np.percentile(samples, 99), abs=1e-6)
    assert latency.p50_low_ms <= latency.p50_ms <= latency.p50_high_ms
    assert 5 <= len(latency.launches) <= 10
    assert latency.size_bytes == small.stat().st_size
    starts = sorted(launch.cold_start_ms for launch in latency.launches)
    assert latency.cold_start_ms == np.median(starts) > latency.init_ms > 0


def test_int16_inputs_and_outputs_are_measured(int16):
    (latency,) = tfzip.benchmark(int16, **QUICK).latencies
    assert 0 < latency.min_ms <= latency.p50_ms <= latency.p99_ms


def test_real_data_are_fed(small, pair):
    images = np.zeros((7, 16, 16, 3), np.float32)
    assert tfzip.benchmark(small, data=images, **QUICK).latencies[0].runs >= 40
    mixed = {"image": np.zeros((2, 4), np.float32), "index": np.full((2, 1), 4)}
    assert tfzip.benchmark(pair, data=mixed, **QUICK).latencies[0].runs >= 40
    with pytest.raises(DataError, match="whole numbers"):
        tfzip.benchmark(pair, data={**mixed, "index": np.full((2, 1), 0.5)}, **QUICK)


@pytest.mark.parametrize(
    ("files", "options", "error", "message"),
    [
        ([], {}, OptionError, "at least one file"),
        (["missing.tflite"], {}, FileFormatError, r"no \.tflite file at missing\.tflite"),
        ([__file__, __file__], {"launches": 1}, OptionError, "at least 2 launches"),
        ([__file__], {"thread": 2}, OptionError, "Did you mean 'threads'"),
    ],
)
def test_bad_calls_are_refused_before_anything_runs(files, options, error, message):
    with pytest.raises(error, match=message):
        tfzip.benchmark(files, **options)


@pytest.fixture
def recording(monkeypatch):
    """A device with a name, for one test: those registered for good have to pass the registries' tests."""
    monkeypatch.setitem(devices._classes, "recording", RecordingDevice)
    return RecordingDevice()


def test_the_confidence_allows_for_the_number_of_files(small, recording):
    report = tfzip.benchmark([small] * 5, device=recording, launches=2)
    assert [v.confidence for v in report.verdicts] == [pytest.approx(1 - 0.01 / 4)] * 4
    assert {v.verdict for v in report.verdicts} == {"no difference"}
    assert {v.ratio for v in report.verdicts} == {1.0}


def test_threads_beyond_the_cores_are_noted(small, recording):
    report = tfzip.benchmark(small, device=recording, threads=(1, 3), launches=1)
    assert report.notes == ("3 threads contend for 1 cores.",)
    assert [latency.threads for latency in report.latencies] == [1, 3]


def measurement(launch_levels, *, steady=True, spikes=0, drift=0.0):
    levels = np.concatenate([level * (1 + drift * np.arange(4)) for level in launch_levels])
    blocks = [np.full(20, level) for level in levels]
    for block in blocks:
        block[:spikes] *= 2
    count = len(launch_levels)
    samples = [blocks[4 * i : 4 * i + 4] for i in range(count)]
    flaws = {number: flaw_of(launch, throttled=False) for number, launch in enumerate(samples)}
    return Measurement(0, [], [WarmUp(9, 1.0, steady, 1.0)] * count, samples, flaws)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"launch_levels": [1.0, 1.01, 1.0]}, []),
        ({"launch_levels": [1.0, 1.0], "steady": False}, ["2 of 2 launches never became steady"]),
        ({"launch_levels": [1.0, 1.0], "spikes": 2}, ["10% of runs took over 1.5x the median"]),
        ({"launch_levels": [1.0, 1.2, 1.0]}, ["launches differ by 20%"]),
        ({"launch_levels": [1.0, 1.02, 1.04, 1.06]}, ["latency drifted by +7%"]),
        (
            {"launch_levels": [1.0], "drift": 0.03},
            [
                "all 1 launches drifted or were throttled, and the figures are of these",
                "latency drifted by +9%",
            ],
        ),
    ],
)
def test_disturbances_are_flagged(options, expected):
    measured = measurement(**options)
    assert _disturbances(measured, BenchPlan(launches=len(measured.samples))) == expected


def test_a_report_is_saved_whole_or_not_at_all(report, tmp_path, monkeypatch):
    target = tmp_path / "bench.json"
    assert report.save(target) == target
    assert json.loads(target.read_text()) == json.loads(report.to_json())
    with pytest.raises(OptionError, match="There is no folder"):
        report.save(tmp_path / "missing" / "bench.json")
    with pytest.raises(OptionError, match="is a folder"):
        report.save(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    before = target.read_text()
    with pytest.raises(OptionError, match="No space left"):
        report.save(target)
    assert target.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def mutated(data, rng):
    """Flips, overwrites or cuts a few bytes."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        start, length = int(rng.integers(len(damaged))), int(rng.choice([1, 1, 4, 64]))
        damaged[start : start + length] = rng.bytes(min(length, len(damaged) - start))
    return bytes(damaged[: rng.integers(1, len(damaged))] if rng.random() < 0.1 else damaged)


@pytest.mark.parametrize("count", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_files_are_measured_or_refused_in_the_child(count, small, int8, tmp_path):
    rng, file = np.random.default_rng(count), tmp_path / "damaged.tflite"
    outcomes = {"measured": 0, "refused": 0}
    with Sandbox(timeout_s=10, memory_bytes=8 << 30) as child:
        for index in range(count):
            file.write_bytes(mutated((small, int8)[index % 2].read_bytes(), rng))
            try:  # anything but a TfzipError fails the test
                child.call("tfzip.bench.worker:peak_memory", str(file), runtime="litert", threads=1, seed=0)
                outcomes["measured"] += 1
            except TfzipError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 0


def test_plan_of_the_report_is_the_plan_asked_for(report):
    assert report.plan == BenchPlan(threads=(1, 2), **THOROUGH)
    assert report.verdicts[0].confidence == 0.99
