"""Android devices behind the real adb: pretended phones that run the pushed programs under QEMU."""

import json
import re
import threading
import time

import pytest

import tfzip
from tests.bench.arm import arm_library  # noqa: F401 (a fixture)
from tests.bench.phones import FAULTS, adb, needs_adb, server  # noqa: F401 (a fixture)
from tests.bench.schema_check import violations
from tests.bench.test_benchmark import SCHEMA
from tfzip.bench.devices import find_device, timed
from tfzip.bench.devices.adb import find_adb, list_devices
from tfzip.bench.parallel import benchmark_devices, raise_first
from tfzip.errors import DeviceError, MissingDependencyError, OptionError, TfzipError

pytestmark = needs_adb
QUICK = {"runs": 4, "min_duration_s": 0, "launches": 2, "rounds": 1, "warmup_s": 0.01}


@pytest.fixture(scope="module")
def phone(server, arm_library):  # noqa: F811
    made = server("one")
    made.connect()
    return made


@pytest.fixture
def device(phone):
    phone.fail(None)
    phone.connect()
    for name in ("thermal", "temperature", "commands"):
        (phone.root / name).unlink(missing_ok=True)
    yield {"name": "android", "serial": phone.serial}
    phone.fail(None)
    assert phone.running() == []


def test_a_file_is_pushed_run_and_compared(device, phone, int8, small):
    report = tfzip.benchmark([small, int8], device=device, **QUICK)
    floats, integers = report.latencies
    assert floats.agreement.largest < 1e-5
    assert integers.agreement.identical
    assert min(floats.peak_memory_bytes, floats.pss_bytes, floats.heap_bytes) > 10_000
    assert report.environment["cpu"] == "TestSoC"
    assert report.environment["android"]["ro.product.cpu.abi"] == "arm64-v8a"
    assert report.environment["battery"]["temperature"] == "300"
    assert violations(json.loads(report.to_json()), SCHEMA, SCHEMA) == []
    assert not [path.name for path in phone.shelf.iterdir() if path.suffix in (".pid", ".partial", ".out")]


def test_clocks_are_fixed_and_given_free_again(device, phone, int8):
    tfzip.benchmark(int8, device=device, **QUICK)
    commands = (phone.root / "commands").read_text().splitlines()
    assert commands == [f"power set-fixed-performance-mode-enabled {state}" for state in ("true", "false")]


def test_many_files_take_one_push_of_the_runner(device, phone, int8, tmp_path, monkeypatch):
    monkeypatch.setattr(timed, "TOGETHER", 2)
    phone.clear()
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.tflite")
        files[-1].write_bytes(int8.read_bytes() + bytes([number]))
    report = tfzip.benchmark(files, device=device, **{**QUICK, "runs": 1})
    assert len(report.latencies) == 3
    pushed = [path for path in phone.shelf.iterdir() if path.is_file() and not path.is_symlink()]
    assert sum(path.suffix == ".tflite" for path in pushed) == 3
    assert sum(path.stat().st_size > 5_000_000 for path in pushed) == 1  # the library is there once


def test_two_phones_are_measured_at_once(device, server, int8):  # noqa: F811
    other = server("two", core="cortex-a53", model="Second")
    other.connect()
    reports = {}

    def measure(serial):
        reports[serial] = tfzip.benchmark(int8, device={"name": "android", "serial": serial}, **QUICK)

    serials = [device["serial"], other.serial]
    threads = [threading.Thread(target=measure, args=(serial,)) for serial in serials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reports) == sorted(serials)
    with pytest.raises(DeviceError, match="2 Android devices are ready. Name one"):
        tfzip.benchmark(int8, device="android", **QUICK)
    adb("disconnect", other.serial)
    assert tfzip.benchmark(int8, device="android", **QUICK).latencies


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=pytest.mark.slow) if "frozen" in name else name for name in FAULTS]
)
def test_a_fault_is_one_clear_line_in_bounded_time_and_leaves_nothing(fault, device, phone, small):
    if "push" in fault or fault in ("no_space", "read_only"):
        phone.clear()
    start = time.monotonic()
    phone.fail(fault)
    with pytest.raises(TfzipError, match=FAULTS[fault]) as caught:
        tfzip.benchmark(small, device=device, timeout_s=8, **QUICK)
    assert time.monotonic() - start < 60
    assert "\n" not in str(caught.value)
    phone.fail(None)
    phone.connect()
    assert list(phone.shelf.glob("*.partial")) == [] or "gone" in fault
    assert tfzip.benchmark(small, device=device, **QUICK).latencies  # and the next try works


def test_lines_that_the_runner_did_not_write_are_passed_over(device, phone, small):
    phone.fail("babble always")
    assert tfzip.benchmark(small, device=device, **QUICK).latencies


def test_a_server_of_adb_that_goes_during_a_run_is_one_line(device, phone, small):
    ended = threading.Timer(1.5, adb, ("kill-server",))
    ended.start()
    with pytest.raises(DeviceError, match="end marker|no longer connected|connection closed"):
        tfzip.benchmark(small, device=device, timeout_s=8, **{**QUICK, "launches": 30})
    ended.join()
    phone.connect()
    assert tfzip.benchmark(small, device=device, **QUICK).latencies


def test_a_slow_link_is_waited_for(device, phone, small):
    phone.clear()
    phone.fail("slow 20")
    assert tfzip.benchmark(small, device=device, **QUICK).latencies


def test_a_server_of_adb_that_was_ended_is_started_again(device, phone, small):
    adb("kill-server")
    with pytest.raises(DeviceError, match="There is no Android device .*Reconnect it"):
        tfzip.benchmark(small, device=device, **QUICK)
    phone.connect()
    assert tfzip.benchmark(small, device=device, **QUICK).latencies


def test_a_thermal_status_that_rises_is_a_disturbance(device, phone, int8):
    (phone.root / "bin/cmd").write_text("#!/bin/sh\necho 2 > $TFZIP_DEVICE/thermal\n")
    report = tfzip.benchmark(int8, device=device, **QUICK)
    assert "the thermal status went from 0 to 2" in report.latencies[0].disturbances
    (phone.root / "bin/cmd").write_text('#!/bin/sh\necho "$@" >> $TFZIP_DEVICE/commands\n')


def test_a_phone_that_is_warm_is_waited_for_up_to_the_limit(device, phone, int8):
    (phone.root / "bin/cmd").write_text("#!/bin/sh\necho 400 > $TFZIP_DEVICE/temperature\n")
    start = time.monotonic()
    report = tfzip.benchmark(int8, device={**device, "cooldown_s": 3.0}, **{**QUICK, "launches": 1})
    assert time.monotonic() - start > 3.0
    told = [one for one in report.latencies[0].disturbances if "after 3 s of waiting" in one]
    assert len(told) == 1
    (phone.root / "bin/cmd").write_text('#!/bin/sh\necho "$@" >> $TFZIP_DEVICE/commands\n')


def test_a_phone_that_never_accepts_the_key_says_so(server, int8):  # noqa: F811
    locked = server("locked", auth="never")
    adb("connect", locked.serial)
    with pytest.raises(DeviceError, match="unauthorized.*accept this computer's key"):
        tfzip.benchmark(int8, device={"name": "android", "serial": locked.serial}, **QUICK)
    adb("disconnect", locked.serial)


def test_a_phone_that_accepts_the_key_is_ready(server):  # noqa: F811
    asking = server("asking", auth="accept")
    asking.connect()
    assert (asking.serial, "device") in [(one.serial, one.state) for one in list_devices(find_adb())]
    adb("disconnect", asking.serial)


def test_another_processor_is_refused(server, int8):  # noqa: F811
    old = server("old", abi="armeabi-v7a")
    old.connect()
    with pytest.raises(DeviceError, match="armeabi-v7a; the runner is built for arm64-v8a"):
        tfzip.benchmark(int8, device={"name": "android", "serial": old.serial}, **QUICK)
    adb("disconnect", old.serial)


def test_energy_is_what_running_on_adds(server, int8):  # noqa: F811
    phone = server("powered", battery="Discharging")
    phone.connect()
    report = tfzip.benchmark(
        int8, device=f"android:{phone.serial}", energy=True, energy_window_s=4.0, **QUICK
    )
    (energy,) = report.energies
    assert energy.idle_watts == pytest.approx(0.8, rel=0.02)
    assert energy.load_watts == pytest.approx(2.0, rel=0.05)
    expected = 1e3 * 1.2 * 4.0 * energy.repeats / energy.runs
    assert energy.millijoules == pytest.approx(expected, rel=0.15)
    assert energy.low_millijoules < energy.millijoules < energy.high_millijoules
    assert violations(json.loads(report.to_json()), SCHEMA, SCHEMA) == []
    assert phone.running() == []
    status = phone.root / "sys/class/power_supply/battery/status"
    short = tfzip.benchmark(int8, device=f"android:{phone.serial}", energy=True, energy_window_s=0.1, **QUICK)
    assert (len(short.latencies), short.energies) == (1, ())
    assert re.search("was not measured: (The gauge|Meter) 'battery'", short.notes[-1])
    status.write_text("Charging\n")
    with pytest.raises(DeviceError, match="battery is charging.*Unplug it"):
        tfzip.benchmark(int8, device=f"android:{phone.serial}", energy=True, **QUICK)
    adb("disconnect", phone.serial)


def test_a_phone_that_is_plugged_in_has_no_meter(device, int8):
    began = []
    with pytest.raises(DeviceError, match="battery is charging"):
        tfzip.benchmark(int8, device=device, energy=True, progress=lambda *step: began.append(step), **QUICK)
    assert not began  # it is said before anything is measured
    with pytest.raises(OptionError, match="android and ssh"):
        tfzip.benchmark(int8, energy=True, **QUICK)


def test_bad_names_are_one_line(device, int8, monkeypatch):
    with pytest.raises(DeviceError, match="no Android device 'nobody'"):
        tfzip.benchmark(int8, device="android:nobody", **QUICK)
    with pytest.raises(MissingDependencyError, match="no adb at /nowhere"):
        tfzip.benchmark(int8, device={**device, "adb": "/nowhere"}, **QUICK)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingDependencyError, match="apt-get install adb"):
        tfzip.benchmark(int8, device="android", **QUICK)


def test_one_phone_that_fails_does_not_cost_the_other_its_result(device, phone, server, int8, tmp_path):  # noqa: F811
    other = server("third")
    other.connect()
    other.fail("refuse_shell always")
    specs = [f"android:{phone.serial}", f"android:{other.serial}"]
    results = benchmark_devices(int8, {spec: find_device(spec) for spec in specs}, **QUICK)
    assert list(results.reports) == [specs[0]]
    assert list(results.errors) == [specs[1]]
    with pytest.raises(DeviceError, match=other.serial):
        raise_first(results)
    adb("disconnect", other.serial)
