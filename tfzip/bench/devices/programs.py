"""Ways to have a runner on a machine: built for it, with a C library of its own, or in Python."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfzip.bench.devices.arm_cores import SYSROOT
from tfzip.bench.devices.remote import Program
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.native.library import library_for
from tfzip.bench.native.toolchain import runner_for, source
from tfzip.errors import MissingDependencyError

_LOADER = "ld-linux-aarch64.so.1"
_BUNDLED = (
    _LOADER,
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "libstdc++.so.6",
    "libgcc_s.so.1",
)
_COMMAND_TIMEOUT_S = 30.0


def native(shelf: Shelf, system: str, options: Mapping[str, Any]) -> Program:
    """Returns the runner built for a system, which uses the machine's own C library."""
    runner = shelf.put(runner_for(system), program=True)
    return Program((runner,), shelf.put(library_for(system.partition("-")[2])), options)


def bundled(shelf: Shelf, options: Mapping[str, Any]) -> Program:
    """Returns the runner with the GNU C library beside it, for phones and for boards whose own is too old.

    Raises:
        MissingDependencyError: The libraries for AArch64 are not on this machine.
    """
    folder = f"{shelf.folder}/glibc"
    links = [f"mkdir -p {shlex.quote(folder)}"]
    for name in _BUNDLED:
        path = Path(SYSROOT) / "lib" / name
        if not path.exists():
            raise MissingDependencyError(
                f"{SYSROOT} has no lib/{name}, which goes to the device with the runner. Install the"
                " libraries for AArch64: apt-get install libc6-dev-arm64-cross libstdc++6-arm64-cross."
            )
        there = shelf.put(path.resolve(), program=True)
        links.append(f"ln -sf {shlex.quote(there)} {shlex.quote(f'{folder}/{name}')}")
    shelf.link.check(" && ".join(links), _COMMAND_TIMEOUT_S)
    runner = shelf.put(runner_for("linux-aarch64"), program=True)
    words = (f"{folder}/{_LOADER}", "--library-path", folder, runner)
    return Program(words, shelf.put(library_for("aarch64")), options)


def agent(shelf: Shelf, python: str, options: Mapping[str, Any]) -> Program:
    """Returns the runner's stand-in in Python, for boards without a compiler that builds for them."""
    return Program((python, shelf.put(source("agent.py"))), "installed", options)
