"""Shared by all tests: quiet frameworks, the data folder, one seed."""

import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="tfzip-history-")  # benchmarks of tests are no history

import pytest


def pytest_sessionfinish():
    shutil.rmtree(os.environ["XDG_DATA_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = Path(os.environ.get("TFZIP_DATA", Path.home() / ".cache/tfzip/datasets"))
    if not (folder / "cifar10.npz").exists():
        pytest.skip(f"no data sets in {folder}; set TFZIP_DATA to a folder with cifar10.npz")
    return folder


@pytest.fixture(scope="package")
def warm_child():
    """One child that converts for most tests of a folder; each export in earnest starts its own."""
    from tfzip.sandbox import Sandbox

    with Sandbox() as child:
        yield child


@pytest.fixture
def convert_in_the_warm_child(monkeypatch, warm_child):
    from tfzip.conversion import export, inner

    for module in (export, inner):
        monkeypatch.setattr(module, "run_isolated", warm_child.call)
