"""LiteRT's own wheel: the first choice, on every platform that has one."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.runtime.runtimes.runtime import InterpreterApi, Runtime, runtimes


@runtimes.register
@dataclass(frozen=True)
class LitertRuntime(Runtime):
    """Runs files with `ai_edge_litert`, registered as `"litert"`."""

    package: ClassVar[str] = "ai-edge-litert"

    def load(self) -> InterpreterApi:
        """Imports `ai_edge_litert`."""
        from ai_edge_litert import interpreter

        return InterpreterApi(interpreter.Interpreter, interpreter.OpResolverType)
