"""The LiteRT library that the native runner opens: of the installed wheel, or fetched for another machine."""

import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tfzip.artifact import sha256_of
from tfzip.errors import DeviceError, MissingDependencyError
from tfzip.files import cache_folder, written_beside

_PACKAGE = "ai-edge-litert"
_LIBRARY = "ai_edge_litert/libLiteRt.so"
_DOWNLOAD_TIMEOUT_S = 600.0
_PLATFORMS = {"aarch64": "manylinux_2_27_aarch64", "x86_64": "manylinux_2_27_x86_64"}
_SHA256 = {
    ("2.3.0", "aarch64"): "b57687dc234d2b8b0598aef5a9c961ed24263df8f8b3f56adbee1cff618e544b",
}
"""Digests of libraries that tfzip was tested with; of others, the first one that is fetched is kept to."""


def library_version() -> str:
    """Returns the version of LiteRT that is installed here, which devices then run as well.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"The native runner needs {_PACKAGE}. Install it: pip install {_PACKAGE}."
        ) from error


def library_for(architecture: str) -> Path:
    """Returns libLiteRt.so for an architecture.

    Raises:
        MissingDependencyError: It is not there.
        DeviceError: What was fetched has been changed since.
    """
    if architecture == platform.machine() and (here := _installed()):
        return here
    path = _kept(architecture)
    if not path.exists():
        raise MissingDependencyError(
            f"LiteRT {library_version()} for {architecture} is not here yet."
            f" Fetch it once with `tfzip devices setup qemu`, or `android` or `ssh` for those."
        )
    digest = sha256_of(path)
    if digest != _expected(architecture, path):
        raise DeviceError(
            f"{path} is not what was fetched (sha256 {digest[:12]}...). Delete it and set"
            " the device up again with `tfzip devices setup`."
        )
    return path


def fetch_library(architecture: str) -> Path:
    """Downloads the wheel of the version that is installed here for another architecture, through pip.

    What is here already and whole is not fetched again.

    Raises:
        DeviceError: It cannot be had, or is not the file that tfzip was tested with.
    """
    version = library_version()
    target = _kept(architecture)
    if target.exists() and sha256_of(target) == _expected(architecture, target):
        return target
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--platform", _PLATFORMS[architecture]]
        command += ["--python-version", "3.11", "--abi", "cp311", "--dest", folder, f"{_PACKAGE}=={version}"]
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
            raise DeviceError(f"{_PACKAGE} {version} for {architecture} cannot be fetched: {reason}.")
        with zipfile.ZipFile(wheels[0]) as wheel, written_beside(target) as partial:
            partial.write_bytes(wheel.read(_LIBRARY))
            digest = sha256_of(partial)
            known = _SHA256.get((version, architecture), digest)
            if digest != known:
                raise DeviceError(
                    f"LiteRT {version} for {architecture} has sha256 {digest}, not {known}; it is not used."
                )
            _digest_file(target).write_text(digest + "\n")
    return target


def _installed() -> Path | None:
    spec = importlib.util.find_spec("ai_edge_litert")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / "libLiteRt.so").is_file():
            return path
    return None


def _kept(architecture: str) -> Path:
    if architecture not in _PLATFORMS:
        raise DeviceError(
            f"There is no LiteRT library for {architecture!r}. Known: {', '.join(sorted(_PLATFORMS))}."
        )
    return cache_folder("native") / f"libLiteRt-{library_version()}-{architecture}.so"


def _digest_file(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _expected(architecture: str, path: Path) -> str:
    known = _SHA256.get((library_version(), architecture))
    if known:
        return known
    return _digest_file(path).read_text().strip() if _digest_file(path).exists() else ""
