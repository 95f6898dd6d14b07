"""Devices take turns as planned, and the host survives what its children do."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tfzip.bench import BenchPlan
from tfzip.bench import plan as plans
from tfzip.bench.devices import HostDevice, Launch, Memory, Opening, TimedDevice, devices, host
from tfzip.bench.devices.adb import AdbLink, Listed, choose, parse_listed
from tfzip.bench.devices.link import Finished
from tfzip.bench.devices.preflight import parse_preflight
from tfzip.bench.plan import Workload
from tfzip.bench.worker import WarmUp
from tfzip.errors import DeviceError, FileFormatError, MissingDependencyError, SandboxError, UnknownNameError


@dataclass(frozen=True)
class RecordingDevice(TimedDevice):
    """Notes everything it is asked to do; a run of file X takes as many ms as X has letters."""

    log: list = field(default_factory=list)
    fails_at: str = ""

    @classmethod
    def found_here(cls):
        return []

    def environment(self, plan):
        return {"cores": 1, "load_average": 0.0, "governor": None}

    def memory(self, workload, plan):
        self.log.append(("memory", workload.path.name))
        return Memory(1000)

    def launch(self, workload, plan):
        return RecordingLaunch(self, workload.path.name)


class RecordingLaunch(Launch):
    def __init__(self, device, name):
        self.device, self.name = device, name
        self.opening = Opening(100.0, 2.0, 3.0)
        device.log.append(("open", name))

    def warm_up(self):
        return WarmUp(9, 9.0, True, float(len(self.name)))

    def time_block(self, runs, index):
        if self.name == self.device.fails_at:
            raise SandboxError("gone")
        self.device.log.append(("block", self.name))
        return np.full(runs, float(len(self.name)))

    def close(self):
        self.device.log.append(("close", self.name))


def workloads(*names):
    return [Workload(Path(name), 1) for name in names]


def test_blocks_alternate_forwards_and_backwards_in_every_launch():
    device, plan = RecordingDevice(), BenchPlan(launches=4, rounds=2)
    device.measure(workloads("a", "bb", "ccc"), plan)
    assert device.log[:3] == [("memory", "a"), ("memory", "bb"), ("memory", "ccc")]
    orders = set()
    for launch in range(4):
        steps = device.log[3 + launch * 18 :][:18]
        order = [name for _, name in steps[:3]]
        orders.add(tuple(order))
        assert [kind for kind, _ in steps] == ["open"] * 3 + ["block"] * 12 + ["close"] * 3
        assert [name for _, name in steps[3:15]] == (order + order[::-1]) * 2
        assert sorted(name for _, name in steps[15:]) == ["a", "bb", "ccc"]
    assert len(orders) > 1  # the order of the files is drawn anew for each launch


def test_a_fast_file_gets_more_blocks_and_a_slow_one_beside_it_as_many(monkeypatch):
    monkeypatch.setattr(plans, "_MAX_BLOCK_RUNS", 5)
    plan = BenchPlan(launches=1, rounds=2, runs=1, min_duration_s=0.1)
    calls = []
    device = RecordingDevice()
    fast, slow = device.measure(workloads("a", "bb"), plan, lambda *call: calls.append(call))
    assert [block.size for block in fast.samples[0]] == [5] * 20  # 100 ms at 1 ms
    assert [block.size for block in slow.samples[0]] == [3] * 20  # at least 100 ms at 2 ms
    assert max(done for done, _, _ in calls) < calls[0][1]


def test_results_come_back_in_the_order_of_the_workloads():
    plan = BenchPlan(launches=2, rounds=1, runs=12, min_duration_s=0)
    first, second = RecordingDevice().measure(workloads("a", "bb"), plan)
    assert [[block.tolist() for block in launch] for launch in first.samples] == [[[1.0] * 3] * 2] * 2
    assert [[block.tolist() for block in launch] for launch in second.samples] == [[[2.0] * 3] * 2] * 2
    assert first.memory == Memory(1000)
    assert len(first.openings) == len(first.warm_ups) == 2


def test_progress_counts_every_step_once():
    calls = []
    plan = BenchPlan(launches=2, rounds=2)
    RecordingDevice().measure(workloads("a", "bb"), plan, lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(2 * (1 + 2 * (1 + 4))))
    assert {total for _, total, _ in calls} == {len(calls)}
    assert calls[0][2] == "memory of a"


def test_a_failure_closes_every_launch():
    device = RecordingDevice(fails_at="bb")
    with pytest.raises(SandboxError, match="gone"):
        device.measure(workloads("a", "bb", "ccc"), BenchPlan(launches=2))
    closed = [name for kind, name in device.log if kind == "close"]
    assert sorted(closed) == ["a", "bb", "ccc"]


def test_devices_are_found_by_name():
    assert devices.get("host") == HostDevice()
    with pytest.raises(UnknownNameError, match="Did you mean 'host'"):
        devices.get("hots")


def test_the_host_describes_what_a_latency_depends_on():
    facts = HostDevice().environment(BenchPlan())
    assert facts["cores"] >= 1
    assert facts["runtime"] == "litert"
    assert facts["memory_bytes"] > 1 << 28


def test_a_runtime_that_is_not_installed_names_its_package():
    with pytest.raises(MissingDependencyError, match="pip install tflite-runtime"):
        HostDevice().environment(BenchPlan(runtime="tflite_runtime"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [("crash", "signal SIGSEGV"), ("hang", "did not finish within 5 s"), ("eat", "out of memory")],
)
def test_a_child_that_dies_hangs_or_eats_memory_is_an_error_that_names_the_file(
    fault, message, small, monkeypatch
):
    monkeypatch.setattr(host, "_WORKER", "tests.bench.faulty_worker")
    monkeypatch.setenv("TFZIP_TEST_FAULT", fault)
    with pytest.raises(SandboxError, match=message) as caught:
        HostDevice().launch(Workload(small, 1), BenchPlan(timeout_s=5))
    assert str(caught.value).startswith(f"{small} cannot be measured")
    assert "\n" not in str(caught.value)


def test_a_hang_in_the_middle_of_a_measurement_ends(small, monkeypatch):
    monkeypatch.setattr(host, "_WORKER", "tests.bench.faulty_worker")
    monkeypatch.setenv("TFZIP_TEST_FAULT", "hang late")
    plan = BenchPlan(timeout_s=5)
    with HostDevice().launch(Workload(small, 1), plan) as launch:
        launch.warm_up()
        with pytest.raises(SandboxError, match="did not finish"):
            launch.time_block(1, 0)


def test_a_damaged_file_says_so(tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x00" * 64)
    with pytest.raises(FileFormatError, match=r"broken\.tflite cannot be opened"):
        HostDevice().memory(Workload(broken, 1), BenchPlan())


@pytest.mark.parametrize(
    ("line", "serial", "state", "model"),
    [
        (
            "R5CT device usb:1-2 product:x model:Pixel_8_Pro device:husky transport_id:1",
            "R5CT",
            "device",
            "Pixel 8 Pro",
        ),
        ("0123\tdevice", "0123", "device", ""),
        (
            "adb-R5CT (2)._adb-tls-connect._tcp device product:x model:SM_1 device:y",
            "adb-R5CT (2)._adb-tls-connect._tcp",
            "device",
            "SM 1",
        ),
        (
            "????????????    no permissions (missing udev rules? user is in the plugdev group); see [http://x]",
            "????????????",
            "no permissions",
            "",
        ),
        ("R5CT           no permissions; see [http://x] usb:1", "R5CT", "no permissions", ""),
        ("emulator-5554 offline transport_id:3", "emulator-5554", "offline", ""),
    ],
)
def test_a_line_of_adb_is_read(line, serial, state, model):
    assert parse_listed(line) == Listed(serial, state, model)


@pytest.mark.parametrize(
    "line", ["", "List of devices attached", "* daemon not running; starting now", "junk"]
)
def test_other_lines_of_adb_are_no_devices(line):
    assert parse_listed(line) is None


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("no permissions (missing udev rules?)", "may not be used by this account. Add udev rules .*plugdev"),
        ("unauthorized", "accept this computer's key"),
        ("authorizing", "accept this computer's key"),
        ("recovery", "is in recovery. Restart it"),
        ("bootloader", "fastboot reboot"),
    ],
)
def test_a_phone_that_is_not_ready_has_its_remedy(state, message, tmp_path):
    adb = tmp_path / "adb"
    adb.write_text(f"#!/bin/sh\nprintf 'List of devices attached\\nR5\\351 x {state} usb:1\\n'\n")
    adb.chmod(0o755)
    with pytest.raises(DeviceError, match=message) as caught:
        choose(str(adb), "")
    assert "'R5\ufffd x'" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "core 0 n/a 0 1 x",
        "core 0",
        "core",
        "load unknown",
        "load",
        "MemTotal:",
        "MemTotal: many kB",
        "prop",
        "zone",
        "zone x",
    ],
)
def test_what_a_machine_cannot_tell_is_left_out_of_its_state(line):
    found = parse_preflight(f"{line}\ncore 1 1000 0 1 fast\nmachine aarch64\n")
    assert found.clusters["all"] == (1,)
    assert (found.facts["load_average"], found.facts["memory_bytes"]) == (None, 0)
    assert found.facts["governor"] == "fast"


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("", "the device was lost. Reconnect it and repeat"),
        (
            "/x: 0 files pushed, 0 skipped. 252.4 MB/s (202904 bytes in 0.001s)",
            "the device was lost. Reconnect",
        ),
        ("adb: error: No space left on device\n/x: 0 files pushed, 0 skipped.", "no space left. Free some"),
        ("error: something else.", "error: something else."),
    ],
)
def test_what_adb_says_of_a_lost_device_has_its_remedy(said, meaning):
    link = AdbLink("adb", "S")
    with pytest.raises(DeviceError, match=f"x cannot be pushed: .*{meaning}"):
        link.copied(Finished(1, "", said), "x cannot be pushed")
