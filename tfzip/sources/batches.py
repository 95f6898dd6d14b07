"""Calibration data in any of the shapes people have it, checked against a model's inputs."""

import inspect
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError

Array = NDArray[Any]
MAX_SAMPLES = 512


def calibration_samples(
    data: Any, inputs: Sequence[TensorSpec], limit: int = MAX_SAMPLES, *, varied: bool = False
) -> dict[str, Array]:
    """Returns the first samples of a data source, one array for each input.

    Args:
        data: An array, a dictionary of arrays by input name, a tuple or list of arrays in the order of the
            inputs, a `tf.data.Dataset` or generator of any of these in batches, or a path or data set name.
            A dataset or generator may also yield pairs of inputs and targets.
        inputs: The model's inputs; -1 in a shape allows any size.
        limit: Most samples to take. Defaults to 512.
        varied: Whether ranges are chosen on the samples: one value everywhere has none. Defaults to False.

    Returns:
        Arrays of shape (samples, ...) by input name, in each input's type.

    Raises:
        DataError: The data are empty, of another shape or type, not finite, or name other inputs.
    """
    if isinstance(data, str | os.PathLike):
        data = _named(data)
    if is_stream(data) or inspect.isgeneratorfunction(data):
        samples = _from_stream(iter(data() if callable(data) else data), inputs, limit)
    else:
        arrays = _by_name(data, inputs)
        samples = {s.name: np.atleast_1d(_array(arrays[s.name], s))[:limit] for s in inputs}
    checked = {spec.name: _checked(samples[spec.name], spec) for spec in inputs}
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"Calibration data must have the same number of samples for every input. Received: {lengths}."
        )
    for name, array in checked.items() if varied else ():
        if array.dtype.kind == "f" and array.size > 1 and array.min() == array.max():
            raise DataError(
                f"Calibration data for input {name!r} are {array.flat[0]:g} everywhere, which leaves it"
                " without a range. Give samples as the model will see them."
            )
    return checked


def is_stream(data: Any) -> bool:
    """Whether data come as batches one after another (a `tf.data.Dataset`, a generator), not as arrays."""
    if isinstance(data, Mapping | tuple | list) or hasattr(data, "shape"):
        return False
    return isinstance(data, Iterable)


def _named(spec: str | os.PathLike[str]) -> Any:
    from tfzip.sources.data import load_data

    return load_data(str(spec), split="train").x


def _from_stream(batches: Iterator[Any], inputs: Sequence[TensorSpec], limit: int) -> dict[str, Array]:
    parts: dict[str, list[Array]] = {spec.name: [] for spec in inputs}
    taken = 0
    for batch in itertools.islice(batches, limit):
        arrays = _by_name(_without_targets(batch, inputs), inputs)
        for spec in inputs:
            array = _array(arrays[spec.name], spec)
            parts[spec.name].append(array if array.ndim == len(spec.shape) else array[np.newaxis])
        taken += len(parts[inputs[0].name][-1])
        if taken >= limit:
            break
    if taken == 0:
        raise DataError("The calibration data are empty. Give at least one sample, better a few hundred.")
    return {name: np.concatenate(arrays)[:limit] for name, arrays in parts.items()}


def _without_targets(batch: Any, inputs: Sequence[TensorSpec]) -> Any:
    """Returns the inputs of what `fit` takes: a pair, or a triple with sample weights."""
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        return batch
    structured = isinstance(batch[0], Mapping | tuple | list)
    return batch[0] if structured or len(batch) != len(inputs) else batch


def _by_name(data: Any, inputs: Sequence[TensorSpec]) -> dict[str, Any]:
    names = [spec.name for spec in inputs]
    if isinstance(data, Mapping):
        if set(data) != set(names):
            raise DataError(
                f"The calibration data name the inputs {sorted(data)}; the model's are {sorted(names)}."
            )
        return dict(data)
    alone = len(names) == 1 and not (isinstance(data, tuple | list) and _is_wrapped(data, inputs[0]))
    arrays = [data] if alone or not isinstance(data, tuple | list) else list(data)
    if len(arrays) != len(names):
        raise DataError(
            f"The model has {len(names)} inputs {names}; the calibration data have {len(arrays)}."
        )
    return dict(zip(names, arrays, strict=True))


def _is_wrapped(data: Sequence[Any], spec: TensorSpec) -> bool:
    """Whether a sequence holds the one array of a model with one input, rather than its rows."""
    return len(data) == 1 and len(getattr(data[0], "shape", ())) == len(spec.shape)


def _array(values: Any, spec: TensorSpec) -> Array:
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(
            f"Calibration data for input {spec.name!r} are not one array: their rows differ in shape."
        ) from None


def _checked(array: Array, spec: TensorSpec) -> Array:
    if array.ndim == 0 or len(array) == 0:
        raise DataError("The calibration data are empty. Give at least one sample, better a few hundred.")
    if not spec.fits(array.shape, any_rows=True):
        expected = _shape(spec.shape[1:])
        raise DataError(
            f"Calibration data for input {spec.name!r} must have the shape (samples, {expected})."
            f" Received: {array.shape}."
        )
    wanted = np.dtype(spec.dtype)
    if array.dtype.kind not in "biuf" or (wanted.kind in "iu" and array.dtype.kind == "f"):
        raise DataError(
            f"Calibration data for input {spec.name!r} must be of type {wanted}. Received: {array.dtype}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(
            f"Calibration data for input {spec.name!r} contain NaN or infinity. Clean them first."
        )
    return np.ascontiguousarray(array, dtype=wanted)


def _shape(dimensions: tuple[int, ...]) -> str:
    return ", ".join("any" if d == -1 else str(d) for d in dimensions)
