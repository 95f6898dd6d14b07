"""Sweeps: which settings are measured, and what is advised."""

from dataclasses import dataclass

import numpy as np
import pytest

from tests.bench.test_devices import RecordingDevice, RecordingLaunch
from tfzip.bench.devices import devices
from tfzip.bench.sweep import Setting, SweepReport, settings_of, sweep
from tfzip.errors import OptionError

PHONE = {
    "cores": 8,
    "clusters": [
        {"name": "little", "cores": [0, 1, 2, 3], "max_khz": 1},
        {"name": "big", "cores": [7], "max_khz": 3},
        {"name": "mid", "cores": [4, 5, 6], "max_khz": 2},
    ],
}


def test_every_cluster_is_measured_up_to_its_cores():
    assert settings_of(PHONE) == [
        *(("little", n) for n in (1, 2, 4)),
        ("big", 1),
        *(("mid", n) for n in (1, 2, 3)),
        *(("all", n) for n in (1, 2, 4, 8)),
    ]
    assert settings_of({"cores": 1, "clusters": []}) == [("all", 1)]


def report(*rows):
    return SweepReport("m.tflite", {}, tuple(Setting(*row, False) for row in rows))


def test_the_front_is_what_nothing_beats():
    found = report(
        ("big", 1, 10.0, 9.0), ("big", 2, 6.0, 12.0), ("mid", 1, 12.0, 9.5), ("little", 1, 30.0, 4.0)
    )
    assert [(one.cores, one.threads) for one in found.front] == [("big", 2), ("big", 1), ("little", 1)]
    assert "Fastest: big cores, 2 thread(s)" in found.advice()[0]
    assert "Least energy: little cores, 1 thread(s)" in found.advice()[1]


def test_near_the_fastest_with_less_energy_is_advised():
    found = report(("big", 2, 10.0, 20.0), ("mid", 2, 10.5, 12.0), ("little", 1, 40.0, 5.0))
    assert (
        found.advice()[2]
        == "At most a tenth slower with 40% less energy: mid cores, 2 thread(s): 10.5 ms, 12 mJ."
    )


def test_threads_that_add_nothing_are_told():
    found = report(("all", 1, 20.0, None), ("all", 2, 10.4, None), ("all", 4, 10.0, None))
    assert found.front == (found.fastest,)
    assert found.advice()[-1] == "2 thread(s) do as well there: 10.4 ms."


def test_disturbed_settings_are_marked_and_not_advised():
    quiet = Setting("big", 1, 10.0, None, False)
    found = SweepReport("m.tflite", {"name": "x"}, (quiet, Setting("big", 2, 5.0, None, True)))
    assert found.fastest == quiet
    assert str(found).splitlines() == [
        "big cores, 1 thread(s): 10 ms",
        "big cores, 2 thread(s): 5 ms, disturbed",
        "Fastest: big cores, 1 thread(s): 10 ms.",
        "1 setting(s) were disturbed, which the advice leaves out. Measure again on a quiet device.",
    ]
    none = SweepReport("m.tflite", {"name": "x"}, (Setting("big", 2, 5.0, None, True),))
    assert none.fastest.threads == 2
    assert "1 setting(s) were disturbed, all of them" in none.advice()[-1]


@dataclass(frozen=True)
class ClusteredDevice(RecordingDevice):
    """Takes longer on little cores.

    Attributes:
        cores: Cluster. Defaults to `"all"`.
    """

    cores: str = "all"

    def environment(self, plan):
        facts = {"cpu": "test", "date": "2026-01-01", "load_average": 0.0, "governor": None}
        return {**PHONE, **facts, "runtime": "none", "runtime_version": "0"}

    def launch(self, workload, plan):
        return TakesLonger(self, workload)


class TakesLonger(RecordingLaunch):
    def __init__(self, device, workload):
        super().__init__(device, workload.path.name)
        self.ms = {"little": 8.0, "mid": 4.0, "big": 2.0, "all": 3.0}[device.cores] / workload.threads

    def time_block(self, runs, index):
        return np.full(runs, self.ms)


def test_a_sweep_measures_and_advises(small, monkeypatch):
    monkeypatch.setitem(devices._classes, "clustered", ClusteredDevice)
    steps = []
    found = sweep(small, device="clustered", progress=lambda *step: steps.append(step), launches=1, runs=8)
    assert len(found.settings) == len(steps) == 11
    assert (found.fastest.cores, found.fastest.threads) == ("all", 8)
    assert str(found).splitlines()[-1].startswith("Fastest: all cores, 8 thread(s)")


def test_a_sweep_needs_a_choice(small):
    with pytest.raises(OptionError, match="android or ssh"):
        sweep(small, device="host")
    with pytest.raises(OptionError, match="chooses the threads itself"):
        sweep(small, device="android", threads=2)
