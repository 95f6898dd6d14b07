"""The native runner's binaries: built once by the compiler that is there, and kept."""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfzip.errors import MissingDependencyError
from tfzip.files import cache_folder, written_beside

_FLAGS = ("-O2", "-std=c++17", "-rdynamic")
_ANDROID_API = 26
_BUILD_TIMEOUT_S = 300.0
SYSTEMS = ("linux-x86_64", "linux-aarch64", "android-aarch64")
"""What a runner can be built for."""
_locks: dict[Path, threading.Lock] = {}
_locks_guard = threading.Lock()


@dataclass(frozen=True)
class Compiler:
    """A command that compiles C++.

    Attributes:
        command: Its first words.
        libraries: What it has to link with.
    """

    command: tuple[str, ...]
    libraries: tuple[str, ...] = ("-ldl",)


def runner_for(system: str) -> Path:
    """Returns the runner's binary for a system, built now unless this compiler has built it before.

    Args:
        system: One of `SYSTEMS`.

    Raises:
        MissingDependencyError: No compiler for the system is there, or it fails.
    """
    compiler = next(_compilers(system), None)
    if compiler is None:
        raise MissingDependencyError(f"There is no C++ compiler for {system}. {_REMEDIES[system]}")
    return _built(source("runner.cc"), compiler, _FLAGS, f"runner-{system}")


def counter() -> Path:
    """Returns QEMU's plugin that counts instructions, built for this machine.

    Raises:
        MissingDependencyError: No C compiler is there, or it fails.
    """
    found = next((path for name in ("gcc", "cc", "clang") if (path := shutil.which(name))), None)
    if found is None:
        raise MissingDependencyError(
            "Counting instructions needs a C compiler. Install gcc, for example apt-get install gcc."
        )
    flags = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")
    return _built(source("instructions.c"), Compiler((found,)), flags, "instructions.so")


def has_compiler(system: str) -> bool:
    """Whether a runner for a system can be built here."""
    return next(_compilers(system), None) is not None


def source(name: str) -> Path:
    """Returns a file of `android_bench/`, of the repository or as it was installed.

    Raises:
        MissingDependencyError: It is not there.
    """
    beside = Path(__file__).parents[3] / "android_bench" / name
    installed = Path(sysconfig.get_path("data")) / "share" / "tfzip" / "android_bench" / name
    for path in (beside, installed):
        if path.is_file():
            return path
    raise MissingDependencyError(f"{name} of the native runner is missing. Install tfzip again.")


def _compilers(system: str) -> Iterator[Compiler]:
    if system == "android-aarch64":
        if clang := _ndk_clang():
            yield Compiler((str(clang),), ("-ldl", "-static-libstdc++"))
        return
    architecture = system.removeprefix("linux-")
    own = sys.platform == "linux" and platform.machine() == architecture
    names = ("g++", "clang++") if own else (f"{architecture}-linux-gnu-g++",)
    for name in names:
        if path := shutil.which(name):
            yield Compiler((path,))
    if importlib.util.find_spec("ziglang"):
        target = f"{architecture}-linux-gnu.2.31"
        yield Compiler((sys.executable, "-m", "ziglang", "c++", "-target", target, "-s"))


def _ndk_clang() -> Path | None:
    root = os.environ.get("ANDROID_NDK_HOME")
    if not root:
        return None
    pattern = f"toolchains/llvm/prebuilt/*/bin/aarch64-linux-android{_ANDROID_API}-clang++"
    return next(iter(sorted(Path(root).glob(pattern))), None)


_REMEDIES = {
    "linux-x86_64": "Install one, for example apt-get install g++, or pip install ziglang.",
    "linux-aarch64": "Install one: apt-get install g++-aarch64-linux-gnu, or pip install ziglang.",
    "android-aarch64": "Install the Android NDK and set ANDROID_NDK_HOME to its folder.",
}


def _built(code: Path, compiler: Compiler, flags: Sequence[str], name: str) -> Path:
    key = hashlib.sha256(code.read_bytes() + repr((compiler, flags, _version(compiler))).encode())
    target = cache_folder("native") / f"{name}-{key.hexdigest()[:16]}"
    with _locks_guard:
        lock = _locks.setdefault(target, threading.Lock())
    with lock:  # devices that are measured at once build it once
        if not target.exists():
            _build(target, code, compiler, flags)
    return target


def _build(target: Path, code: Path, compiler: Compiler, flags: Sequence[str]) -> None:
    with written_beside(target) as partial:
        command = [*compiler.command, *flags, "-o", str(partial), str(code), *compiler.libraries]
        done = subprocess.run(  # noqa: S603 (the user's compiler)
            command, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it says nothing"])[0]
            raise MissingDependencyError(
                f"{compiler.command[0]} cannot build {code.name}: {reason}. Install another compiler."
            )
        partial.chmod(0o755)


def _version(compiler: Compiler) -> str:
    done = subprocess.run(  # noqa: S603 (the user's compiler)
        [*compiler.command, "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout
