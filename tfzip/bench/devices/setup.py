"""What devices need on this machine: says what is missing, and fetches and builds what may be."""

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfzip.artifact import sha256_of
from tfzip.bench.devices.arm_cores import EMULATOR, SYSROOT
from tfzip.bench.native.library import fetch_library
from tfzip.bench.native.toolchain import counter, has_compiler, runner_for
from tfzip.bench.native.vendor import FETCHED, LITERT_BINARIES, fetch_vendor
from tfzip.errors import MissingDependencyError, UnknownNameError


@dataclass(frozen=True)
class Need:
    """A program or library of the system.

    Attributes:
        what: In words.
        package: Of Debian and Ubuntu.
        is_there: Tells whether it is, given the folder with the libraries for AArch64.
    """

    what: str
    package: str
    is_there: Callable[[Path], bool]


def _program(*names: str) -> Callable[[Path], bool]:
    return lambda _: any(map(shutil.which, names))


def _library(name: str) -> Callable[[Path], bool]:
    return lambda sysroot: (sysroot / "lib" / name).exists()


_COMPILER = Need(
    "a C++ compiler for AArch64", "g++-aarch64-linux-gnu", lambda _: has_compiler("linux-aarch64")
)
_LIBRARIES = (
    Need("the C library for AArch64", "libc6-dev-arm64-cross", _library("ld-linux-aarch64.so.1")),
    Need("the C++ library for AArch64", "libstdc++6-arm64-cross", _library("libstdc++.so.6")),
)
_NEEDS: dict[str, tuple[Need, ...]] = {
    "qemu": (
        Need(EMULATOR, "qemu-user", _program(EMULATOR)),
        Need("a C compiler", "gcc", _program("gcc", "cc", "clang")),
        _COMPILER,
        *_LIBRARIES,
    ),
    "android": (
        Need("adb", "adb", lambda _: bool(shutil.which("adb") or importlib.util.find_spec("adbutils"))),
        _COMPILER,
        *_LIBRARIES,
    ),
    "ssh": (Need("ssh", "openssh-client", _program("ssh")), _COMPILER),
}
VENDOR = "benchmark_model"
NAMES = tuple(sorted([*_NEEDS, VENDOR]))


def missing(name: str, sysroot: Path = SYSROOT) -> tuple[Need, ...]:
    """Returns what of the system a device lacks here.

    Args:
        name: Of the device.
        sysroot: Folder with the libraries for AArch64, under `lib`. Defaults to that of Debian and Ubuntu.

    Raises:
        UnknownNameError: There is nothing to set up under that name.
    """
    if name not in _NEEDS:
        raise UnknownNameError("device to set up", name, NAMES)
    return tuple(need for need in _NEEDS[name] if not need.is_there(sysroot))


def require(name: str, sysroot: Path = SYSROOT) -> None:
    """Raises `MissingDependencyError`, with the command that installs it, if something is missing here."""
    if lacking := missing(name, sysroot):
        raise MissingDependencyError(f"{_listed(lacking)} missing. Install with: {install_command(lacking)}")


def set_up(
    name: str, say: Callable[[str], None], *, url: str | None = None, sha256: str | None = None
) -> None:
    """Builds and fetches what a device needs.

    Args:
        name: `"qemu"`, `"android"` or `"ssh"`, or `"benchmark_model"` for LiteRT's own tool.
        say: Called with a line for each thing that is ready.
        url: Where the vendor's tool is: a folder with a folder for each system. Defaults to LiteRT's own.
        sha256: Of the tool, if it is known.

    Raises:
        MissingDependencyError: Packages of the system are missing; the message has the command.
        DeviceError: The library cannot be fetched.
    """
    if name == VENDOR:
        path = fetch_vendor(FETCHED, url or LITERT_BINARIES, sha256)
        say(f"benchmark_model for Android: {path}, sha256 {sha256_of(path)}")
        return
    require(name)
    say(f"runner for AArch64: {runner_for('linux-aarch64')}")
    if name == "qemu":
        say(f"counter of instructions: {counter()}")
    say(f"LiteRT for AArch64: {fetch_library('aarch64')}")


def install_command(needs: Sequence[Need]) -> str:
    """Returns the command that installs packages on Debian and Ubuntu."""
    return f"apt-get install {' '.join(need.package for need in needs)}"


def _listed(needs: Sequence[Need]) -> str:
    words = [need.what for need in needs]
    verb = "is" if len(words) == 1 else "are"
    return f"{', '.join(words[:-1])} and {words[-1]} {verb}" if len(words) > 1 else f"{words[0]} {verb}"
