"""The data that a criterion looks at: a few batches in one form."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfzip.errors import DataError

BATCH = 32
MAX_BATCHES = 16

Batch = tuple[Any, Any]


def batches_of(data: Any) -> list[Batch]:
    """Returns up to `MAX_BATCHES` batches of inputs and targets; targets are `None` where there are none.

    Args:
        data: Inputs, `(inputs, targets)`, or an iterable of batches of either, such as a `tf.data.Dataset`.

    Raises:
        DataError: There are no data.
    """
    found = [_pair(one) for one in itertools.islice(_stream(data), MAX_BATCHES)]
    if not found:
        raise DataError("The data for choosing channels are empty. Pass at least one batch.")
    return found


def _stream(data: Any) -> Iterator[Any]:
    is_pair = isinstance(data, tuple) and len(data) > 1
    if is_pair or isinstance(data, Mapping) or hasattr(data, "shape"):
        return _cut(data)
    if isinstance(data, Iterable):
        return iter(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return (data[index] for index in range(len(data)))
    raise DataError(
        "Data for choosing channels are arrays, (inputs, targets), or batches of them."
        f" Received: {type(data).__name__}."
    )


def _cut(data: Any) -> Iterator[Any]:
    """Yields the batches of arrays."""
    import keras

    first = np.shape(keras.tree.flatten(data)[0])
    for start in range(0, min(first[0], BATCH * MAX_BATCHES), BATCH):
        yield keras.tree.map_structure(lambda array, at=start: np.asarray(array[at : at + BATCH]), data)


def _pair(batch: Any) -> Batch:
    if isinstance(batch, tuple) and len(batch) > 1:
        return batch[0], batch[1]
    return (batch[0] if isinstance(batch, tuple) else batch), None
