"""Several devices: what runs beside what, what a failure costs, and what an interrupt key ends."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bench.test_devices import RecordingDevice
from tfzip.bench import parallel
from tfzip.bench.devices import HostDevice
from tfzip.bench.native import toolchain
from tfzip.bench.parallel import DeviceResults, benchmark_devices, raise_first
from tfzip.errors import DeviceError, OptionError, UnknownNameError

MAIN = "from tfzip.cli import main; main()"


@dataclass(frozen=True)
class Stub(RecordingDevice):
    """Says nothing but whether it needs this machine for itself."""

    needs_quiet_here: bool = False


@dataclass
class Times:
    """Stands in for a benchmark and notes when each began and ended, and in which thread."""

    spans: dict = field(default_factory=dict)

    def __call__(self, files, *, device, progress=None):
        start = time.monotonic()
        time.sleep(0.1)
        self.spans[id(device)] = (start, time.monotonic(), threading.current_thread())
        return f"report of {files}"


def test_devices_that_time_this_machine_are_measured_alone_and_first(monkeypatch):
    times = Times()
    monkeypatch.setattr(parallel, "benchmark", times)
    devices = {"a": Stub(), "host": Stub(needs_quiet_here=True), "b": Stub()}
    results = benchmark_devices("f", devices)
    assert list(results.reports) == ["a", "host", "b"]
    a, host, b = (times.spans[id(device)] for device in devices.values())
    assert host[1] <= min(a[0], b[0])
    assert max(a[0], b[0]) < min(a[1], b[1])
    assert host[2] is threading.main_thread()
    assert HostDevice.needs_quiet_here


def test_one_device_is_measured_in_the_main_thread(monkeypatch):
    times = Times()
    monkeypatch.setattr(parallel, "benchmark", times)
    benchmark_devices("f", {"a": Stub()})
    ((_, _, thread),) = times.spans.values()
    assert thread is threading.main_thread()


def test_an_error_that_nobody_foresaw_does_not_cost_the_other_device_its_report(monkeypatch):
    def some(files, *, device, progress=None):
        if device.fails_at:
            raise FileNotFoundError(2, "No such file")
        return "report"

    monkeypatch.setattr(parallel, "benchmark", some)
    results = benchmark_devices("f", {"a": Stub(fails_at="x"), "b": Stub()})
    assert results.reports == {"b": "report"}
    assert isinstance(results.errors["a"], DeviceError)
    assert "FileNotFoundError: [Errno 2] No such file" in str(results.errors["a"])
    with pytest.raises(FileNotFoundError):  # of one device alone the whole trace is worth more
        benchmark_devices("f", {"a": Stub(fails_at="x")})


def test_errors_of_several_devices_are_one_error():
    unknown = UnknownNameError("cluster of cores", "big", ["all"])
    with pytest.raises(DeviceError, match=r"^a: Unknown cluster .* And: b: no threads$"):
        raise_first(DeviceResults({}, {"a": unknown, "b": OptionError("no threads")}))
    with pytest.raises(UnknownNameError):
        raise_first(DeviceResults({}, {"a": unknown}))
    raise_first(DeviceResults({}, {}))


def children_of(pid):
    """Returns the processes below one, at any depth."""
    below = [int(child) for task in Path(f"/proc/{pid}/task").glob("*") for child in listed(task)]
    return below + [deeper for child in below for deeper in children_of(child)]


def listed(task):
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def heeding_interrupts():
    """What is started in the background of a shell ignores interrupts, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted(command, ready):
    """Starts a command, interrupts it alone when it is ready, and returns its status, words and children."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, preexec_fn=heeding_interrupts) as process:
        end = time.monotonic() + 120
        while not ready(process.pid) and time.monotonic() < end:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        children = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=60)  # what was interrupted would take much longer
        finally:
            process.kill()
    time.sleep(0.2)
    left = [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()]
    return process.returncode, said, children, left


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@needs_proc
def test_an_interrupt_key_ends_a_benchmark_of_this_machine(small, tmp_path):
    options = ("--runs", "1000000", "--launches", "2", "--history", tmp_path / "h")
    command = [sys.executable, "-c", MAIN, "bench", *map(str, (small, *options))]
    status, said, children, left = interrupted(command, children_of)
    assert (status, said.strip()) == (1, "Aborted!")
    assert children
    assert left == []


@needs_proc
def test_an_interrupt_key_ends_what_several_devices_wait_for(tmp_path):
    script = textwrap.dedent(f"""
        import pathlib, subprocess
        from tfzip.bench import parallel
        from tests.bench.test_parallel import Stub

        def benchmark(files, *, device, progress=None):
            try:
                subprocess.run(["sleep", "600"])
                subprocess.run(["sleep", "600"])
            finally:
                pathlib.Path({str(tmp_path)!r}, str(id(device))).touch()

        parallel.benchmark = benchmark
        parallel.benchmark_devices("f", {{"a": Stub(), "b": Stub()}})
    """)
    command = [sys.executable, "-c", script]
    status, said, children, left = interrupted(command, lambda pid: len(children_of(pid)) == 2)
    assert status in (1, -signal.SIGINT)
    assert said.strip().endswith("KeyboardInterrupt")
    assert len(children) == 2
    assert left == []
    assert len(list(tmp_path.iterdir())) == 2  # both have tidied up


def test_devices_that_need_the_same_program_build_it_once(tmp_path, monkeypatch):
    log = tmp_path / "log"
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo 1; exit; fi\n'
        f'echo built >> {log}; sleep 0.3; while [ "$1" != -o ]; do shift; done; echo binary > "$2"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code = tmp_path / "code.cc"
    code.write_text("")

    def build(_):
        return toolchain._built(code, toolchain.Compiler((str(compiler),)), (), "runner")

    with ThreadPoolExecutor() as pool:
        (target,) = set(pool.map(build, range(3)))
    assert target.read_text() == "binary\n"
    assert log.read_text() == "built\n"
