"""The one door to the generated schema of .tflite files: names of operations, types and options.

The schema is TensorFlow's `compiler/mlir/lite/schema/schema.fbs`. Only names and options come from the
generated module; tables are read by `tfzip.tflite.flat`, which trusts no byte of them.
"""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tfzip.errors import MissingDependencyError

_INSIDE_TENSORFLOW = Path("lite/python/schema_py_generated.py")


@cache
def schema() -> ModuleType:
    """Returns the generated module: ai-edge-litert's, or TensorFlow's copy without loading TensorFlow.

    Raises:
        MissingDependencyError: Neither package is installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        return _tensorflow_schema()
    module: ModuleType = schema_py_generated
    return module


def _tensorflow_schema() -> ModuleType:
    package = importlib.util.find_spec("tensorflow")
    for folder in (package.submodule_search_locations or ()) if package else ():
        file = Path(folder) / _INSIDE_TENSORFLOW
        spec = importlib.util.spec_from_file_location("tfzip_tflite_schema", file) if file.exists() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise MissingDependencyError(
        "Reading a .tflite needs its schema, expected in ai-edge-litert or tensorflow; neither is installed."
        " Install one: pip install ai-edge-litert"
    )


@cache
def _names(enum: str) -> dict[int, str]:
    members: dict[str, Any] = vars(getattr(schema(), enum))
    return {code: name for name, code in members.items() if not name.startswith("_")}


def op_name(code: int) -> str:
    """Returns the name of a builtin operation, for example `"CONV_2D"`; `"UNKNOWN_999"` for a newer one."""
    return _names("BuiltinOperator").get(code, f"UNKNOWN_{code}")


def dtype_name(code: int) -> str:
    """Returns the NumPy-style name of a tensor's type, for example `"int4"`; `"unknown99"` if newer."""
    return _names("TensorType").get(code, f"UNKNOWN{code}").lower()


def read_options(code: int, buffer: Any, position: int, *, second: bool = False) -> dict[str, Any]:
    """Returns an operation's numeric options, for example `{"StrideH": 2, "Padding": "SAME"}`.

    Args:
        code: Which table of the union `BuiltinOptions` it is.
        buffer: The whole file.
        position: Where the table begins; its bounds have been checked by the caller.
        second: Whether the union is `BuiltinOptions2`. Defaults to False.
    """
    name = _names("BuiltinOptions2" if second else "BuiltinOptions").get(code, "NONE")
    cls = getattr(schema(), name, None)
    if cls is None:
        return {}
    table = cls()
    table.Init(buffer, position)
    return {field: _readable(field, getattr(table, field)()) for field in _numeric_fields(name)}


@cache
def _numeric_fields(table: str) -> tuple[str, ...]:
    """Returns the accessors of numbers: those that only look their slot up and get it."""
    methods = {k: v.__code__ for k, v in vars(getattr(schema(), table)).items() if hasattr(v, "__code__")}
    return tuple(
        name
        for name, code in methods.items()
        if code.co_argcount == 1 and "Get" in code.co_names and not {"Union", "String"} & set(code.co_names)
    )


def _readable(field: str, value: Any) -> Any:
    enum = {"FusedActivationFunction": "ActivationFunctionType", "Padding": "Padding"}.get(field)
    return _names(enum).get(value, str(value)) if enum else value
