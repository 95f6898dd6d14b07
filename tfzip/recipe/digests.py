"""Digests of content: equal for equal models and data, whatever the files around them say of the time."""

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tfzip.sources.data import DataSplits

if TYPE_CHECKING:
    import keras


def digest_of(value: Any) -> str:
    """Returns the SHA-256 of a value that JSON can hold, whatever the order of its names."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def model_digest(model: "keras.Model") -> str:
    """Returns the SHA-256 of a model's architecture and of all its variables, random seeds included.

    The digest of a `.keras` file is of no use here: it holds the date.
    """
    import keras

    config = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True, default=repr)
    digest = hashlib.sha256(config.encode())
    for variable in model.variables:
        array = np.ascontiguousarray(variable)
        digest.update(f"{variable.path} {array.dtype} {array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def data_digest(data: DataSplits) -> str:
    """Returns the SHA-256 of every split."""
    digest = hashlib.sha256()
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        parts = value if isinstance(value, dict) else {"": value}
        for name, array in parts.items():
            if array is not None and field.name not in ("x", "y"):
                digest.update(f"{field.name} {name} {array.dtype} {array.shape}\0".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
