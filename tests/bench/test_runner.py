"""The native runner on this machine, and what its caller makes of runners that fail."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.bench.arm import needs_compiler
from tests.bench.files import convert_function
from tfzip.artifact import sha256_of
from tfzip.bench import worker
from tfzip.bench.agreement import Reference, agreement
from tfzip.bench.native import library, toolchain
from tfzip.bench.native.library import fetch_library, library_for
from tfzip.bench.native.runner import RunnerCall, RunnerProcess
from tfzip.bench.native.toolchain import runner_for
from tfzip.errors import DataError, DeviceError, FileFormatError, MissingDependencyError, OptionError
from tfzip.runtime import open_session

LIBRARY = str(library_for("x86_64")) if sys.platform == "linux" else ""


def call(model, *options, commands=""):
    """Returns what the runner prints, line by line, and its status."""
    command = [
        str(runner_for("linux-x86_64")),
        "--library",
        LIBRARY,
        "--model",
        str(model),
        *map(str, options),
    ]
    done = subprocess.run(command, input=commands, capture_output=True, text=True, timeout=60, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


@needs_compiler
def test_blocks_are_timed_as_they_are_asked_for(small):
    events, status = call(small, "--blocks", "--warmup-s", 0.1, commands="BLOCK 7 0\nBLOCK 3 1\n")
    assert status == 0
    assert [event["event"] for event in events] == ["opened", "warm", "block", "block", "end"]
    assert [len(event["samples_ns"]) for event in events[2:4]] == [7, 3]
    assert all(sample > 1000 for event in events[2:4] for sample in event["samples_ns"])
    assert events[0]["inputs"][0]["shape"] == [1, 16, 16, 3]


@needs_compiler
def test_outputs_are_those_of_the_interpreter(pair, tmp_path):
    rng = np.random.default_rng(1)
    feeds = [
        {"image": rng.normal(size=(1, 4)).astype("float32"), "index": np.array([[n]], "int32")}
        for n in range(3)
    ]
    session = open_session(pair)
    reference = Reference(feeds, [session.run(feed) for feed in feeds])
    ((opened, *_), _) = call(pair, "--memory")
    (tmp_path / "in").write_bytes(reference.packed(opened["inputs"]))
    events, status = call(pair, "--inputs", tmp_path / "in", "--outputs", tmp_path / "out")
    assert (status, events[0]["batches"]) == (0, 3)
    found = agreement(reference, (tmp_path / "out").read_bytes(), opened["outputs"])
    assert found.identical
    wrong = bytearray((tmp_path / "out").read_bytes())
    wrong[3] ^= 0x40
    with pytest.raises(DeviceError, match="computes something else"):
        agreement(reference, bytes(wrong), opened["outputs"])
    with pytest.raises(DeviceError, match="of outputs"):
        agreement(reference, bytes(wrong[:-1]), opened["outputs"])


@needs_compiler
def test_outputs_that_no_operation_writes_are_those_of_the_interpreter(tmp_path):
    """Inputs that are outputs, constants, scalars; a file without inputs takes an empty file of them."""
    x = tf.TensorSpec((1, 4))
    functions = {
        "passing": (lambda x: {"a": x, "b": x + 1.0}, [x]),
        "nothing": (lambda x: x, [x]),
        "constant": (lambda: tf.ones((2, 3)), []),
        "scalar": (lambda x: 2.0 * x + 1.0, [tf.TensorSpec(())]),
    }
    for name, (function, specs) in functions.items():
        path = convert_function(function, specs, tmp_path / f"{name}.tflite")
        reference = worker.reference(str(path), runtime="litert", seed=0)
        ((opened, *_), _) = call(path, "--memory")
        assert opened["accelerator"] == "cpu"
        (tmp_path / "in").write_bytes(reference.packed(opened["inputs"]))
        _, status = call(path, "--inputs", tmp_path / "in", "--outputs", tmp_path / "out")
        assert status == 0
        assert agreement(reference, (tmp_path / "out").read_bytes(), opened["outputs"]).identical, name


@needs_compiler
def test_memory_profile_and_endurance(int8):
    (_, memory, _), _ = call(int8, "--memory")
    assert 0 < memory["heap_bytes"] < 10_000_000
    assert memory["peak_memory_bytes"] > 0
    events, _ = call(int8, "--profile", 3)
    profiles = [event["operations"] for event in events if event["event"] == "profile"]
    assert len(profiles) == 3
    assert any("Convolution" in operation["name"] for operation in profiles[0])
    events, _ = call(int8, "--blocks", "--warmup-s", 0, commands="SUSTAIN 0.2 0\nSUSTAIN 0.2 20\n")
    full, paced = (event for event in events if event["event"] == "sustained")
    assert full["runs"] > 100
    assert 8 <= paced["runs"] <= 11  # one every 20 ms
    assert paced["busy_ms"] < 0.5 * paced["duration_ms"]


@needs_compiler
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--threads", "0"], 1, "from 1 to 256"),
        (["--fraction", "1"], 1, "Unknown option"),
        (["--threads"], 1, "needs a value"),
        (["--accelerator", "tpu"], 1, "cpu, gpu or npu"),
        (["--signature", "train"], 1, "no signature 'train'"),
        (["--library", "/nowhere.so"], 2, "cannot be loaded"),
        (["--library", "libm.so.6"], 2, "has no LiteRt"),
        (["--model", "/nowhere.tflite"], 3, "cannot be read"),
        (["--accelerator", "gpu"], 1, "no accelerator 'gpu' here; take --accelerator cpu"),
        (["--accelerator", "npu"], 1, "no accelerator 'npu'"),
        (["--cpus", "1x"], 1, "hexadecimal mask"),
        (["--cpus", "-1"], 1, "hexadecimal mask"),
        (["--cpus", "0"], 1, "hexadecimal mask"),
        (["--cpus", "10000000000000000"], 1, "hexadecimal mask"),
        (["--cpus", "8000000000000000"], 1, "may not run on cores 8000000000000000"),
        (["--inputs", "/nowhere"], 4, "cannot be read"),
        (["--inputs", __file__], 4, "a batch of this file takes"),
    ],
)
def test_what_is_wrong_ends_with_its_status_and_one_line(options, status, message, small):
    events, code = call(small, *options)
    assert len(events) == 1
    assert (code, events[-1]["event"], events[-1]["status"]) == (status, "end", status)
    assert message in events[-1]["message"]


@needs_compiler
def test_a_damaged_file_is_said(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 64)
    events, code = call(tmp_path / "broken.tflite")
    assert code == events[-1]["status"] != 0
    assert events[-1]["message"]


def started(code, model="m.tflite"):
    """Starts a script in place of a runner."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return RunnerProcess(process, "test", model)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (
            """print('{"event": "end", "status": 1, "message": "no such core"}')""",
            OptionError,
            "no such core",
        ),
        ("""print('{"event": "end", "status": 2}')""", MissingDependencyError, "status 2"),
        ("""print('{"event": "end", "status": 3, "message": "bad"}')""", FileFormatError, "bad"),
        ("""print('{"event": "end", "status": 4, "message": "odd"}')""", DataError, "odd"),
        ("""print('{"event": "end", "status": 139}')""", DeviceError, "status 139"),
        (
            (
                "import sys; print('ERROR: Node 1 (FlexErf) failed.\\nERROR: [a.cc:1] x', file=sys.stderr);"
                """print('{"event": "end", "status": 3, "message": "bad."}')"""
            ),
            FileFormatError,
            r"bad\. LiteRT says: Node 1 \(FlexErf\) failed\.$",
        ),
        ("""print('{"event": "end", "status": null}')""", DeviceError, "status None"),
        ("""print('{"event": "end", "status": "x", "message": 3}')""", DeviceError, "test: 3"),
        ("print('linker: no such library')", DeviceError, "without its end marker .*no such library"),
        ("import sys; print('{\"event\": \"op', end=''); sys.exit(0)", DeviceError, "nothing of this launch"),
        ("import os; os.kill(os.getpid(), 9)", DeviceError, "status -9"),
        ("import time; time.sleep(60)", DeviceError, "nothing came for 0.5 s"),
        (
            "import time\nwhile True: print('{\"event\": []}', 'x', sep='\\n'); time.sleep(0.1)",
            DeviceError,
            "nothing came for 0.5 s",
        ),
        (
            "import os, sys, time; os.dup2(os.open('/dev/null', os.O_WRONLY), 1); time.sleep(60)",
            DeviceError,
            "without its end marker",
        ),
    ],
)
def test_runners_that_fail_are_errors_of_their_kind_in_bounded_time(code, kind, message):
    start = time.monotonic()
    with started(code) as runner, pytest.raises(kind, match=message) as caught:
        runner.event("opened", 0.5 if "sleep" in code else 20)
    assert "m.tflite on test" in str(caught.value)
    assert time.monotonic() - start < 20


def test_what_else_a_device_prints_is_passed_over():
    code = """print('WARNING: linker\\n{"event": "new"}\\n{"a": 1}\\n{"event": "opened", "x": 2}')"""
    with started(code) as runner:
        assert runner.event("opened", 20)["x"] == 2


def test_an_event_that_lacks_a_fact_is_an_error_of_the_device():
    with started("""print('{"event": "opened"}')""") as runner:
        event = runner.event("opened", 20)
    with pytest.raises(DeviceError, match="'opened' lacks 'runner'"):
        event["runner"]


def test_a_call_is_quoted_for_a_shell():
    options = {"memory": True, "blocks": False, "cpus": None, "threads": 2}
    line = RunnerCall(("./runner",), "./lib", "my file; rm", options).line()
    assert line == "./runner --library ./lib --model 'my file; rm' --memory --threads 2"


def test_a_library_that_is_here_and_whole_is_not_fetched_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library, "_SHA256", {})
    monkeypatch.setattr(library.sys, "executable", "/bin/false")
    path = library._kept("aarch64")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"library")
    path.with_suffix(".sha256").write_text(sha256_of(path) + "\n")
    assert fetch_library("aarch64") == path
    path.write_bytes(b"changed")
    with pytest.raises(DeviceError, match="cannot be fetched"):
        fetch_library("aarch64")


def test_a_runner_is_built_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = runner_for("linux-x86_64")
    changed = first.stat().st_mtime_ns
    assert runner_for("linux-x86_64") == first
    assert first.stat().st_mtime_ns == changed


def test_without_a_compiler_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    with pytest.raises(MissingDependencyError, match="apt-get install g"):
        runner_for("linux-aarch64")
    with pytest.raises(MissingDependencyError, match="ANDROID_NDK_HOME"):
        runner_for("android-aarch64")


def test_a_compiler_that_fails_says_why(monkeypatch, tmp_path):
    fake = tmp_path / "aarch64-linux-gnu-g++"
    fake.write_text("#!/bin/sh\necho 'no space left on device' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingDependencyError, match="no space left"):
        runner_for("linux-aarch64")
    assert list((tmp_path / "cache").rglob("*.partial")) == []


def test_the_sources_are_found():
    assert toolchain.source("runner.cc").is_file()
    with pytest.raises(MissingDependencyError, match=r"nothing\.c"):
        toolchain.source("nothing.c")
