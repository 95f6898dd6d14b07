"""What the user gave as inputs and targets, as named arrays in batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError, did_you_mean
from tfzip.sources.batches import is_stream

Arrays = dict[str, NDArray[Any]]


def read_batches(inputs: Any, specs: Sequence[TensorSpec], batch_size: int) -> Iterator[tuple[Arrays, Any]]:
    """Yields batches of inputs by name, with the targets that came along or None.

    Args:
        inputs: An array, a dictionary of arrays by input name, a tuple or list of arrays in the order of the
            inputs, or anything that yields such in batches, a `tf.data.Dataset` for example. What yields
            tuples follows Keras: `(inputs, targets)` or `(inputs, targets, weights)`.
        specs: The model's inputs.
        batch_size: Rows in a batch of arrays; what yields batches keeps its own.

    Raises:
        DataError: The data are empty, not finite, or of another shape or name than the inputs.
    """
    is_empty = True
    for batch, targets in _raw_batches(inputs, specs, batch_size):
        arrays = {spec.name: _checked(batch[spec.name], spec) for spec in specs}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"The inputs differ in length: {counts}. Give one row of each for every sample.")
        is_empty = False
        yield arrays, targets
    if is_empty:
        raise DataError("The data are empty. Give at least one sample.")


def by_name(values: Any, names: Sequence[str], role: str) -> dict[str, Any]:
    """Returns one entry for each name from a dictionary, a sequence in order, or a single value.

    Args:
        values: What the user gave.
        names: Names of the model's inputs or outputs, in order.
        role: `"input"` or `"target"`, for messages.

    Raises:
        DataError: The values have other names or another number.
    """
    if isinstance(values, Mapping):
        for name in values:
            if name not in names:
                hint = did_you_mean(name, names)
                raise DataError(f"The model has no {role} {name!r}.{hint} It has: {', '.join(names)}.")
        if role == "input" and len(values) != len(names):
            missing = ", ".join(name for name in names if name not in values)
            raise DataError(f"The data have no array for the model's {role} {missing}.")
        return dict(values)
    parts = list(values) if isinstance(values, tuple | list) and len(names) > 1 else [values]
    if len(parts) != len(names):
        raise DataError(
            f"The model has {len(names)} {role}s ({', '.join(names)}). Received: {len(parts)}."
            " Give a dictionary by name."
        )
    return dict(zip(names, parts, strict=True))


def _raw_batches(
    inputs: Any, specs: Sequence[TensorSpec], batch_size: int
) -> Iterator[tuple[dict[str, Any], Any]]:
    names = [spec.name for spec in specs]
    if is_stream(inputs):
        for element in inputs:
            x, targets = (element[0], element[1]) if _has_targets(element) else (element, None)
            yield by_name(x, names, "input"), targets
        return
    arrays = {name: np.asarray(array) for name, array in by_name(inputs, names, "input").items()}
    rows = max((len(array) for array in arrays.values() if array.ndim), default=0)
    for start in range(0, rows, batch_size):
        yield {name: array[start : start + batch_size] for name, array in arrays.items()}, None


def _has_targets(element: Any) -> bool:
    return isinstance(element, tuple) and len(element) in (2, 3)


def _checked(values: Any, spec: TensorSpec) -> NDArray[Any]:
    array = np.asarray(values)
    if not spec.fits(array.shape, any_rows=True) or array.dtype.kind not in "biuf":
        shape = ", ".join("any" if n == -1 else str(n) for n in spec.shape[1:])
        raise DataError(
            f"Input {spec.name!r} must hold numbers of shape (samples, {shape})."
            f" Received: {array.dtype} of shape {array.shape}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"Input {spec.name!r} has values that are NaN or infinite. Clean the data first.")
    return array
