"""One warm child converts for most tests; each export in earnest starts its own."""

import pytest

from tfzip.conversion import export as export_module
from tfzip.sandbox import Sandbox


@pytest.fixture(scope="package")
def warm_child():
    with Sandbox() as child:
        yield child


@pytest.fixture(autouse=True)
def _convert_in_the_warm_child(monkeypatch, warm_child):
    monkeypatch.setattr(export_module, "run_isolated", warm_child.call)
