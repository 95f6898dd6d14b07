"""Boards over ssh: a real sshd on loopback, with the native runner and with the agent."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.bench.arm import needs_compiler
from tests.bench.files import convert, convert_function, convolutions
from tfzip.bench import BenchPlan
from tfzip.bench.devices import SshDevice, find_device
from tfzip.bench.devices.remote import RemoteBench, longest_launch_s
from tfzip.bench.devices.ssh import SshLink, parse_target
from tfzip.bench.inputs import random_feed
from tfzip.bench.native.library import library_version
from tfzip.errors import DeviceError, FileFormatError, MissingDependencyError, OptionError
from tfzip.runtime import open_session

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
pytestmark = [
    needs_compiler,
    pytest.mark.skipif(not (SSHD and shutil.which("ssh-keygen")), reason="not installed: openssh-server"),
]
QUICK = {"runs": 20, "min_duration_s": 0.05, "launches": 2, "warmup_s": 0.1}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A server that knows one key; yields fields of a device that reaches it."""
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host", "user"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    (folder / "server").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"SetEnv HOME={folder}\n"  # the files of somebody's shell have no part in this
    )
    (folder / "client").write_text(
        f"Host board\n Port {port}\n User {getpass.getuser()}\n IdentityFile {folder}/user\n"
        f"Host stranger\n Port {port}\n IdentityFile {folder}/host\n"
        f"Host nobody\n Port {free_port()}\n"
        "Host *\n HostName 127.0.0.1\n IdentitiesOnly yes\n StrictHostKeyChecking no\n"
        " UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
    )
    server = subprocess.Popen([SSHD, "-D", "-E", str(folder / "log"), "-f", str(folder / "server")])
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield {
        "name": "ssh",
        "target": "board",
        "config": str(folder / "client"),
        "folder": str(folder / "shelf"),
    }
    server.terminate()
    server.wait()


def names(board):
    return [path.name for path in Path(board["folder"]).iterdir()]


def left_over(folder):
    """Returns processes of runners that were started from a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if folder in line and "--model" in line]


def test_files_are_measured_in_turns_and_leave_nothing_running(board, small, large):
    report = tfzip.benchmark([small, large], device=board, **{**QUICK, "launches": 5})
    assert [latency.runs >= 20 for latency in report.latencies] == [True, True]
    assert report.verdicts[0].verdict == "slower"
    assert all(latency.agreement.largest < 1e-5 for latency in report.latencies)
    assert report.environment["cores"] >= 1
    assert left_over(board["folder"]) == []
    assert not [name for name in names(board) if name.endswith((".pid", ".partial", ".out"))]


def test_commands_share_a_connection_that_ends_with_the_link(board):
    log = Path(board["config"]).with_name("log")
    before = log.read_text().count("Accepted publickey")
    link = SshLink(board["target"], board["config"])
    assert [link.check(f"echo {number}", 10) for number in range(3)] == ["0\n", "1\n", "2\n"]
    assert log.read_text().count("Accepted publickey") == before + 1
    folder = next(option for option in link.words("true") if option.startswith("ControlPath=")).partition(
        "="
    )[2]
    assert Path(folder).is_socket()
    del link
    assert not Path(folder).parent.exists()


def test_a_connection_that_the_user_shares_is_left_to_ssh(board, tmp_path):
    config = tmp_path / "client"
    config.write_text(f"ControlPath {tmp_path}/own\n{Path(board['config']).read_text()}")
    link = SshLink(board["target"], str(config))
    assert link.check("echo here", 10) == "here\n"
    assert not [word for word in link.words("true") if word.startswith("Control")]


def test_an_interrupt_key_leaves_neither_process_nor_outputs(board, small, monkeypatch):
    def interrupted(*_):
        assert [name for name in names(board) if name.endswith(".out")]
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteBench, "_compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tfzip.benchmark(small, device=board, **QUICK)
    assert left_over(board["folder"]) == []
    assert not [name for name in names(board) if name.endswith((".pid", ".out"))]


def test_a_launch_may_take_as_long_as_its_plan_asks_for():
    plan = BenchPlan(energy=True, energy_window_s=3000, energy_repeats=5)
    assert longest_launch_s(plan, 1.0) > 5 * 2 * 3000
    slow = BenchPlan(runs=1000, launches=1)
    assert longest_launch_s(slow, 10_000.0) > 16 * 1000 * 10
    assert longest_launch_s(BenchPlan(energy=True, energy_window_s=1e9), 1.0) == 10**6


def test_nothing_is_pushed_twice(board, small, int8):
    tfzip.benchmark(small, device=board, **QUICK)
    before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(board["folder"])}
    tfzip.benchmark([small, int8], device=board, **QUICK)
    after = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(board["folder"])}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2  # the second file and its inputs


def test_int8_is_identical_with_the_agent(board, int8, pair):
    device = {**board, "runner": "agent", "python": sys.executable}
    report = tfzip.benchmark([int8, pair], device=device, **QUICK)
    assert [latency.agreement.identical for latency in report.latencies] == [True, True]
    assert report.environment["runtime"] == "litert"
    assert report.environment["runtime_version"] == library_version()
    assert left_over(board["folder"]) == []


@pytest.mark.parametrize("runner", ["native", "agent"])
def test_files_without_inputs_or_operations_are_measured(runner, board, tmp_path):
    x, device = tf.TensorSpec((1, 4)), {**board, "runner": runner, "python": sys.executable}
    nothing = convert_function(lambda x: x, [x], tmp_path / "nothing.tflite")
    constant = convert_function(lambda: tf.ones((2, 3)), [], tmp_path / "constant.tflite")
    report = tfzip.benchmark([nothing, constant], device=device, **QUICK)
    assert [latency.agreement.identical for latency in report.latencies] == [True, True]


def test_a_file_that_cannot_be_run_is_told_by_this_machine(board, tmp_path):
    path, before = tmp_path / "open.tflite", set(names(board))
    convert_function(lambda x: tf.where(x > 0.0), [tf.TensorSpec((1, 4))], path)
    with pytest.raises(FileFormatError, match="size only its values tell"):
        tfzip.benchmark(path, device=board, **QUICK)
    assert [name for name in set(names(board)) - before if name.endswith(".tflite")] == []


_OLD_PACKAGE = """
import sys
sys.path.remove({folder!r})
sys.modules.pop("ai_edge_litert", None)
from ai_edge_litert.interpreter import Interpreter as Newer, OpResolverType

class Interpreter(Newer):
    def __init__(self, **options):
        super().__init__(**options, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
"""


def test_boards_with_the_older_package_are_compared_with_its_rounding(board, tmp_path):
    """The package runs integers without XNNPACK, so that its files differ from those of the newer one."""
    keras.utils.set_random_seed(0)
    path = convert(convolutions(16, repeats=6), tmp_path / "deep.tflite", "int8")
    site = tmp_path / "site"
    for package, text in ("ai_edge_litert", "raise ImportError"), ("tflite_runtime", _OLD_PACKAGE):
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").write_text('__version__ = "2.14.0"\n')
        (site / package / "interpreter.py").write_text(text.format(folder=str(site)))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    report = tfzip.benchmark(path, device={**board, "runner": "agent", "python": str(python)}, **QUICK)
    assert report.latencies[0].agreement.identical
    assert report.environment["runtime"] == "tflite_runtime"
    assert report.environment["runtime_version"] == "2.14.0"
    feeds = [random_feed(open_session(path).inputs, seed) for seed in range(20)]
    here, there = (
        [[*open_session(path, portable=portable).run(feed).values()] for feed in feeds]
        for portable in (False, True)
    )
    assert not np.array_equal(here, there)  # or this shows nothing


def test_a_library_that_is_not_there_is_said_by_the_agent(board, small):
    bare = shutil.which("python3", path="/usr/bin:/bin")
    if bare is None:
        pytest.skip("there is no other Python")
    with pytest.raises((MissingDependencyError, DeviceError), match=r"pip|No module"):
        tfzip.benchmark(small, device={**board, "runner": "agent", "python": bare}, **QUICK)


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"target": "nobody"}, DeviceError, "no ssh server answers"),
        ({"target": "stranger"}, DeviceError, "accepts no key"),
        (
            {"target": "no.such.host.invalid", "config": None},
            DeviceError,
            r"no machine of that name|not answer",
        ),
        ({"target": ""}, OptionError, "Name the board"),
        ({"cores": "huge"}, tfzip.errors.UnknownNameError, "cluster of cores 'huge'"),
        ({"cores": "99"}, OptionError, "no core 99"),
        ({"runner": "mine"}, OptionError, "native, bundle, agent"),
        ({"folder": "/proc/tfzip"}, DeviceError, r"/proc/tfzip|not be written|No such file"),
    ],
)
def test_bad_input_is_one_line(fields, kind, message, board, small):
    with pytest.raises(kind, match=message) as caught:
        tfzip.benchmark(small, device={**board, **fields}, **QUICK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("board", "board", ""),
        ("pi@10.0.0.7:2222", "pi@10.0.0.7", "2222"),
        ("root@::1", "root@::1", ""),
        ("::1", "::1", ""),
        ("fe80::1%eth0", "fe80::1%eth0", ""),
        ("[::1]:2222", "::1", "2222"),
        ("root@[fe80::1%eth0]", "root@fe80::1%eth0", ""),
        ("me@work.com@host:22", "me@work.com@host", "22"),
    ],
)
def test_a_target_is_taken_apart(target, host, port):
    assert parse_target(target) == (host, port)


@pytest.mark.parametrize(
    "target", ["-oProxyCommand=x", "-p", "board:", "board:ssh", "[::1", "a b", "root@", "root@-x"]
)
def test_what_is_no_target_is_refused(target):
    with pytest.raises(OptionError, match="A board is HOST, USER@HOST"):
        parse_target(target)


def test_the_target_stands_after_the_colon():
    assert find_device("ssh:pi@10.0.0.7:2222") == SshDevice("pi@10.0.0.7:2222")
