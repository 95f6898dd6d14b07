"""What tests need of emulation, and why they are skipped without it."""

import shutil

import pytest

from tfzip.bench.devices.setup import missing
from tfzip.bench.native.library import fetch_library, library_for
from tfzip.errors import DeviceError, MissingDependencyError

needs_qemu = pytest.mark.skipif(
    bool(missing("qemu")), reason=f"not installed: {', '.join(need.package for need in missing('qemu'))}"
)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="not installed: g++")


@pytest.fixture(scope="session")
def arm_library():
    """The LiteRT library for AArch64, fetched once."""
    try:
        return library_for("aarch64")
    except MissingDependencyError:
        pass
    try:
        return fetch_library("aarch64")
    except DeviceError as error:
        pytest.skip(str(error))
