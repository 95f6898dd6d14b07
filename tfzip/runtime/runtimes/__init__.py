"""The sole importers of interpreters: one runtime per file."""

from tfzip.runtime.runtimes.litert import LitertRuntime
from tfzip.runtime.runtimes.runtime import Runtime, runtimes
from tfzip.runtime.runtimes.tf_lite import TfLiteRuntime
from tfzip.runtime.runtimes.tflite_runtime import TfliteRuntimeRuntime

PREFERENCE: tuple[Runtime, ...] = (LitertRuntime(), TfliteRuntimeRuntime(), TfLiteRuntime())

__all__ = [
    "PREFERENCE",
    "LitertRuntime",
    "Runtime",
    "TfLiteRuntime",
    "TfliteRuntimeRuntime",
    "runtimes",
]
