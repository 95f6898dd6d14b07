"""The data that a criterion looks at: a few batches in one form."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfzip.errors import DataError

BATCH = 32
MAX_BATCHES = 16

Batch = tuple[Any, Any]


def batches_of(data: Any, samples: int | None = None, *, targets: bool = False) -> list[Batch]:
    """Returns batches of inputs and targets; targets are `None` where there are none.

    Args:
        data: Inputs, `(inputs, targets)`, or an iterable of batches of either, such as a `tf.data.Dataset`.
        samples: Rows after which no further batch is taken. Defaults to `MAX_BATCHES` batches.
        targets: Whether there have to be targets. Defaults to False.

    Raises:
        DataError: There are no data, or no targets.
    """
    stream = _stream(data, BATCH * MAX_BATCHES if samples is None else samples)
    found: list[Batch] = []
    rows = 0
    for batch in itertools.islice(stream, MAX_BATCHES if samples is None else None):
        found.append(_pair(batch))
        rows += _rows(found[-1][0])
        if samples is not None and rows >= samples:
            break
    if not found:
        raise DataError("The data for choosing channels are empty. Pass at least one batch.")
    if targets and any(y is None for _, y in found):
        raise DataError("Channels are judged by targets beside inputs. Pass (inputs, targets).")
    return found


def _rows(inputs: Any) -> int:
    import keras

    return int(np.shape(keras.tree.flatten(inputs)[0])[0])


def _stream(data: Any, most: int) -> Iterator[Any]:
    is_pair = isinstance(data, tuple) and len(data) > 1
    if is_pair or isinstance(data, Mapping) or hasattr(data, "shape"):
        return _cut(data, most)
    if isinstance(data, Iterable) and not isinstance(data, str):
        return iter(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, str):
        return (data[index] for index in range(len(data)))
    raise DataError(
        "Data for choosing channels are arrays, (inputs, targets), or batches of them."
        f" Received: {type(data).__name__}."
    )


def _cut(data: Any, most: int) -> Iterator[Any]:
    """Yields the batches of arrays."""
    import keras

    if isinstance(data, tuple) and len(data) > 1 and data[1] is None:
        data = data[:1]
    for one in keras.tree.flatten(data):
        if not len(getattr(one, "shape", ())):
            raise DataError(
                "Data for choosing channels are arrays with a row for each sample. Received:"
                f" {type(one).__name__}."
            )
    count = min(_rows(data), most)
    for start in range(0, count, BATCH):
        rows = slice(start, min(start + BATCH, count))
        yield keras.tree.map_structure(lambda array, rows=rows: np.asarray(array[rows]), data)


def _pair(batch: Any) -> Batch:
    if isinstance(batch, tuple) and len(batch) > 2:
        raise DataError("Sample weights are not looked at when channels are chosen. Pass (inputs, targets).")
    if isinstance(batch, tuple) and len(batch) > 1:
        return batch[0], batch[1]
    return (batch[0] if isinstance(batch, tuple) else batch), None
