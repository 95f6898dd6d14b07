"""Pretended phones behind the real adb: a server of its own, connected devices, faults."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.bench.arm import needs_qemu
from tfzip.bench.devices.arm_cores import CORES, SYSROOT, write_root

GONE = (
    "the device was lost. Reconnect it and repeat|no longer connected. Connect it again and repeat"
    "|connection closed. Reconnect it and repeat|is offline. Reconnect it|calls it offline. Reconnect it"
)
CUT = "without its end marker.*Reconnect the device and repeat"
FAULTS = {  # what happens to a pretended phone, and what is said of it
    "gone_before_push": GONE,
    "gone_in_push 1000": GONE,
    "no_space": "no space left",
    "read_only": "read-only file system",
    "short_push 100": "of a file arrived",
    "noexec": "without its end marker.*name a folder that programs may be run from.*Permission denied",
    "gone_in_run 10": f"{CUT}|{GONE}",
    "gone_in_run 500": f"{CUT}|{GONE}",
    "cut_in_run 10": CUT,
    "cut_in_run 300": CUT,
    "kill_runner 10": CUT,
    "silent_run": "nothing came for .*give more time with --timeout",
    "frozen 300": "nothing came for .*give more time|did not finish within .*restart it, and repeat",
    "gone_in_pull 8": f"cannot be pulled: ({GONE})",
    "short_pull 1": "bytes of outputs, expected .*Repeat",
    "other_outputs": "differs from the host's",
    "refuse_shell": f"does not answer: ({GONE})",
}
HERE = Path(__file__).parent
ADB = shutil.which("adb")
needs_adb = [needs_qemu, pytest.mark.skipif(ADB is None, reason="not installed: adb")]


def free_port():
    """Returns a port that nobody listens on, away from those that adb looks at by itself."""
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            if not 5550 <= found.getsockname()[1] <= 5690:
                return found.getsockname()[1]


class Phone:
    """One pretended device.

    Attributes:
        serial: As adb lists it.
        root: Its file system.
        shelf: Where files are pushed to.
    """

    def __init__(self, folder, shim, *, core="cortex-a76", **options):
        self.root, self.port = Path(folder), free_port()
        self.serial = f"127.0.0.1:{self.port}"
        self.shelf = self.root / "data/local/tmp/tfzip"
        self.root.mkdir(parents=True, exist_ok=True)
        machine = Path(tempfile.mkdtemp(dir=self.root))
        write_root(machine, CORES[core], SYSROOT)
        environment = {
            **os.environ,
            "TFZIP_EXEC_SHIM": str(shim),
            "TFZIP_EXEC_CPU": CORES[core].cpu,
            "TFZIP_EXEC_ROOT": str(machine),
        }
        script = [
            sys.executable,
            str(HERE / "adb_device.py"),
            str(self.port),
            str(self.root),
            json.dumps(options),
        ]
        self.process = subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout.readline() == "ready\n"

    def connect(self):
        adb("disconnect", self.serial)
        for _ in range(50):
            adb("connect", self.serial)
            if adb("-s", self.serial, "get-state") == "device":
                return
            time.sleep(0.1)

    def fail(self, fault):
        """Lets a fault happen at the next occasion, or at every one with `always`; None for none."""
        (self.root / "fault").unlink(missing_ok=True)
        if fault:
            (self.root / "fault").write_text(fault)
        self.process.send_signal(signal.SIGCONT)  # it may be frozen

    def running(self):
        """Returns the processes of runners on this device."""
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if str(self.shelf) in line and "--model" in line]

    def clear(self):
        shutil.rmtree(self.shelf, ignore_errors=True)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def adb(*arguments):
    done = subprocess.run([ADB, *arguments], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()


@contextlib.contextmanager
def own_server(folder):
    """A server of adb's that no other adb sees; gives what makes phones, which end with it."""
    shim = folder / "shim.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", shim, HERE / "exec_shim.c", "-ldl"], check=True)
    own = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "HOME": str(folder), "ADB_MDNS": "0"}
    kept = {name: os.environ.get(name) for name in (*own, "XDG_CACHE_HOME")}
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    os.environ.update(own, XDG_CACHE_HOME=cache)  # what was built and fetched stays known
    phones = []

    def make(name, **options):
        phones.append(Phone(folder / name, shim, **options))
        return phones[-1]

    try:
        yield make
    finally:
        adb("kill-server")
        for phone in phones:
            phone.end()
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yields what makes phones, behind a server of adb's of their own."""
    with own_server(tmp_path_factory.mktemp("adb")) as make:
        yield make
