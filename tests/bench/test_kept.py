"""Launches that drift or are throttled are repeated and left out, and the report says so."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

import tfzip
from tests.bench.schema_check import violations
from tests.bench.test_benchmark import SCHEMA
from tests.bench.test_devices import RecordingDevice, RecordingLaunch, workloads
from tfzip.bench import BenchPlan
from tfzip.bench.devices import devices
from tfzip.bench.kept import flaw_of, lacking


@dataclass(frozen=True)
class Uneven(RecordingDevice):
    """Drifts or is throttled in some launches, counted over all files."""

    drifts: tuple = ()
    throttled: tuple = ()
    launched: list = field(default_factory=list)

    def environment(self, plan):
        names = (
            "cpu",
            "architecture",
            "system",
            "python",
            "numpy",
            "tfzip",
            "runtime",
            "runtime_version",
            "date",
        )
        return {**super().environment(plan), **dict.fromkeys(names, "x"), "memory_bytes": 0}

    def launch(self, workload, plan):
        made = UnevenLaunch(self, workload.path.name)
        made.number = len(self.launched)
        made.throttled = made.number in self.throttled
        self.launched.append(workload.path.name)
        return made


class UnevenLaunch(RecordingLaunch):
    def time_block(self, runs, index):
        slow = 1 + 0.1 * index if self.number in self.device.drifts else 1.0
        return np.full(runs, slow * (5.0 if self.throttled else 1.0))


def test_a_flaw_is_a_drift_or_a_clock_that_fell():
    level = [np.full(3, 1.0)] * 4
    assert flaw_of(level, throttled=False) == ""
    assert flaw_of(level, throttled=True) == "its clock fell"
    assert flaw_of([np.full(3, 1 + 0.1 * i) for i in range(4)], throttled=False) == "drifted by +26%"


@pytest.mark.parametrize(
    ("flaws", "files"),
    [
        ([{0: "", 1: ""}], []),
        ([{0: "", 1: "x"}], [0]),
        ([{0: "", 1: ""}, {0: "", 1: ""}, {0: "x", 1: ""}], [0, 2]),  # with the baseline, to be paired
        ([{0: "", 1: "x"}, {0: "", 1: ""}, {0: "", 1: ""}], [0, 1, 2]),  # nothing is paired with a flaw
        ([{0: "x", 1: "", 2: ""}, {0: "", 1: "", 2: ""}], []),
    ],
)
def test_files_that_lack_launches_are_launched_again_beside_the_baseline(flaws, files):
    assert lacking(flaws, 2) == files


def test_a_launch_with_a_flaw_is_repeated_and_left_out(small, monkeypatch):
    monkeypatch.setitem(devices._classes, "uneven", Uneven)
    device = Uneven(drifts=(1,), throttled=(2,))
    report = tfzip.benchmark(small, device=device, launches=3, runs=12, min_duration_s=0, deadline_ms=2.0)
    (one,) = report.latencies
    assert [launch.left_out for launch in one.launches] == [
        None,
        "drifted by +26%",
        "its clock fell",
        None,
        None,
    ]
    assert (one.min_ms, one.max_ms, one.runs) == (1.0, 1.0, 12)
    assert one.disturbances == ()
    assert "2 of 5 launches are left out of the figures: drifted by +26%, its clock fell." in report.notes[0]
    assert report.deadlines[0].worst_ms == 5.0  # a miss while throttled is a miss
    assert violations(json.loads(report.to_json()), SCHEMA, SCHEMA) == []


def test_too_few_launches_without_a_flaw_are_told(small, monkeypatch):
    monkeypatch.setitem(devices._classes, "uneven", Uneven)
    options = {"launches": 2, "runs": 8, "min_duration_s": 0}
    (one,) = tfzip.benchmark(small, device=Uneven(throttled=(0, 1, 2)), **options).latencies
    assert one.disturbances == ("only 1 of 4 launches neither drifted nor were throttled",)
    assert one.max_ms == 1.0
    report = tfzip.benchmark(small, device=Uneven(throttled=range(4)), **options)
    assert report.latencies[0].disturbances[0].startswith("all 4 launches drifted or were throttled")
    assert report.latencies[0].max_ms == 5.0


def test_verdicts_pair_launches_in_which_both_files_had_no_flaw():
    plan = BenchPlan(launches=2, rounds=1, runs=4, min_duration_s=0)
    device = Uneven(throttled=(0,))  # one of the two, in the first launch
    first, second = device.measure(workloads("a", "b"), plan)
    assert sorted(first.flaws) == sorted(second.flaws) == [0, 1, 2]
    flawed = first if first.flaws[0] else second
    left, right = second.paired(first)
    assert len(left) == len(right) == 2
    assert len(flawed.kept()) == 2
    assert max(block.max() for side in (left, right) for launch in side for block in launch) == 1.0


def test_verdicts_of_flawed_launches_alone_pair_all():
    plan = BenchPlan(launches=2, rounds=1, runs=4, min_duration_s=0)
    first, second = Uneven(throttled=range(99)).measure(workloads("a", "b"), plan)
    left, right = second.paired(first)
    assert len(left) == len(right) == 4
