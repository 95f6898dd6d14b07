"""TensorFlow's own interpreter: the last resort, since it brings the whole of TensorFlow along."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

from tfzip.runtime.runtimes.runtime import InterpreterApi, Runtime, runtimes


@runtimes.register
@dataclass(frozen=True)
class TfLiteRuntime(Runtime):
    """Runs files with the interpreter inside `tensorflow`, registered as `"tf_lite"`."""

    package: ClassVar[str] = "tensorflow"

    def load(self) -> InterpreterApi:
        """Imports `tensorflow`."""
        from tensorflow import lite

        return InterpreterApi(lite.Interpreter, lite.experimental.OpResolverType)

    def interpreter(self, path: str, **options: Any) -> Any:
        """Opens a file without the warning that this interpreter moves to LiteRT, which is tried first."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"(?s).*is scheduled for deletion")
            return super().interpreter(path, **options)
