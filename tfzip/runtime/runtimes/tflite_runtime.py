"""The frozen predecessor of LiteRT's wheel: the only one for 32-bit ARM."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.runtime.runtimes.runtime import InterpreterApi, Runtime, runtimes


@runtimes.register
@dataclass(frozen=True)
class TfliteRuntimeRuntime(Runtime):
    """Runs files with the package `tflite_runtime`, whose name is also the registered one.

    Its last version, 2.14, dates from 2023: newer operations and 4-bit tensors are refused, and integer
    kernels do not use XNNPACK by default.
    """

    package: ClassVar[str] = "tflite-runtime"

    def load(self) -> InterpreterApi:
        """Imports `tflite_runtime`."""
        from tflite_runtime import interpreter

        return InterpreterApi(interpreter.Interpreter, interpreter.OpResolverType)
