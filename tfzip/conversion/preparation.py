"""What has to be different in a model while it is traced for a file, and is put back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfzip.graph.keras_nodes import all_layers
from tfzip.schemes import Scheme

_HALF = ("float16", "bfloat16")


@contextmanager
def as_exported(model: keras.Model, scheme: Scheme) -> Iterator[None]:
    """Lets the model compute in float32, and unrolls recurrent layers for integer schemes, inside the block.

    A graph in half precision converts to Flex operations that no mobile runtime has, and TensorFlow's
    quantizer crashes on the loops of recurrent layers, while it quantizes the same steps written out.
    """
    changes: list[tuple[Any, str, Any]] = []
    try:
        for layer in all_layers(model):
            if layer.dtype_policy.compute_dtype in _HALF:
                changes.append((layer, "dtype_policy", layer.dtype_policy))
                layer.dtype_policy = "float32"
            if scheme.needs_calibration and isinstance(layer, keras.layers.RNN) and not layer.unroll:
                changes.append((layer, "unroll", layer.unroll))
                layer.unroll = True
        yield
    finally:
        for layer, attribute, value in reversed(changes):
            setattr(layer, attribute, value)
