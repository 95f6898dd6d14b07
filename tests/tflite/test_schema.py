"""Names come from whichever package brings the schema."""

import importlib.util
import subprocess
import sys

import pytest

from tfzip.errors import MissingDependencyError
from tfzip.tflite import schema


@pytest.fixture
def without_litert(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    schema.schema.cache_clear()
    yield
    schema.schema.cache_clear()


def test_tensorflows_copy_of_the_schema_serves_too(without_litert):
    assert schema.schema().__name__ == "tfzip_tflite_schema"
    assert schema.schema().BuiltinOperator.CONV_2D == 3


def test_without_any_schema_the_error_says_what_to_install(without_litert, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        schema.schema()


def test_codes_newer_than_the_schema_get_a_name():
    assert schema.op_name(0) == "ADD"
    assert schema.op_name(9999) == "UNKNOWN_9999"
    assert schema.dtype_name(17) == "int4"
    assert schema.dtype_name(99) == "unknown99"


def test_reading_a_file_loads_no_framework():
    code = (
        "import sys; from tfzip.tflite.schema import op_name; import tfzip.tflite; op_name(3);"
        "sys.exit(', '.join({'tensorflow', 'keras'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
