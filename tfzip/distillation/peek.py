"""A look at the first samples of what `fit` takes, after which it still gives all of them."""

from collections.abc import Iterator, Mapping
from types import GeneratorType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_SAMPLES = 8


def first_inputs(x: Any) -> tuple[Any, Any]:
    """Returns the first few inputs, None where they cannot be seen, and what to fit on in place of `x`."""
    if isinstance(x, GeneratorType):
        try:
            first = next(x)
        except StopIteration:
            return None, x
        return _inputs_of(first), _chained(first, x)
    if isinstance(x, tf.data.Dataset):
        return next((_inputs_of(batch) for batch in x.take(1)), None), x
    if isinstance(x, keras.utils.PyDataset):
        return _inputs_of(x[0]), x
    if isinstance(x, np.ndarray | tf.Tensor | Mapping | list | tuple):
        return _cut(x), x
    return None, x


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _inputs_of(batch: Any) -> Any:
    return _cut(batch[0] if isinstance(batch, tuple) else batch)


def _cut(inputs: Any) -> Any:
    return keras.tree.map_structure(lambda one: keras.ops.convert_to_tensor(one[:_SAMPLES]), inputs)
