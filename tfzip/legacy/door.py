"""Imports tf_keras and TFMOT when they are needed, and says what to install when they are absent."""

import importlib
from typing import Any

from tfzip.errors import MissingDependencyError


def tf_keras() -> Any:
    """Returns the `tf_keras` package, or raises `MissingDependencyError`."""
    return _import("tf_keras", "Keras 2 models need tf_keras. Install it with: pip install 'tfzip[legacy]'.")


def tfmot() -> Any:
    """Returns the `tensorflow_model_optimization` package, or raises `MissingDependencyError`."""
    tf_keras()
    return _import(
        "tensorflow_model_optimization",
        "Models wrapped by TFMOT need it. Install it with: pip install tensorflow-model-optimization.",
    )


def _import(package: str, remedy: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(f"{remedy} Importing it gave: {error}.") from error
