"""What a file is fed while it is measured: seeded random numbers in its range, or real data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError
from tfzip.runtime.numbers import quantize

Feed = dict[str, NDArray[Any]]
MAX_FEEDS = 16


def random_feed(specs: Sequence[TensorSpec], seed: int) -> Feed:
    """Returns an array for each input.

    Floats are uniform in [-1, 1). Quantized integers take every value of their type. Integers without a scale
    are indices or counts as a rule, so they are 0 or 1, which is in range for any table with two rows.

    Args:
        specs: The file's inputs; an open dimension becomes 1.
        seed: Seed of the draw.

    Raises:
        DataError: An input is neither a number nor a boolean.
    """
    rng = np.random.default_rng(seed)
    return {spec.name: _random_array(spec, rng) for spec in specs}


def _random_array(spec: TensorSpec, rng: np.random.Generator) -> NDArray[Any]:
    shape, dtype = tuple(1 if n == -1 else n for n in spec.shape), np.dtype(spec.dtype)
    if dtype.kind == "f":
        return rng.uniform(-1, 1, shape).astype(dtype)
    if dtype.kind in "iu" and spec.scale:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if dtype.kind in "iub":
        return rng.integers(0, 2, shape).astype(dtype)
    raise DataError(f"No random numbers for input {spec.name!r} of type {spec.dtype}. Give real data.")


def real_feeds(specs: Sequence[TensorSpec], data: Any) -> list[Feed]:
    """Cuts real data into batches of the file's size, in the file's number formats.

    Args:
        specs: The file's inputs.
        data: Arrays with samples along the first axis: one for the only input, several in the order of the
            inputs, or by input name.

    Returns:
        At most 16 feeds.

    Raises:
        DataError: Names, shapes or types do not fit, or there is less than one batch.
    """
    arrays = _by_name(specs, data)
    batches = {spec.name: spec.shape[0] if spec.shape and spec.shape[0] > 0 else 1 for spec in specs}
    count = min(len(arrays[spec.name]) // batches[spec.name] for spec in specs)
    if count == 0:
        needed = ", ".join(f"{batches[s.name]} for {s.name!r}" for s in specs)
        raise DataError(f"The data hold less than one batch. Samples needed: {needed}.")
    return [
        {
            spec.name: quantize(arrays[spec.name][i * batches[spec.name] :][: batches[spec.name]], spec)
            for spec in specs
        }
        for i in range(min(count, MAX_FEEDS))
    ]


def _by_name(specs: Sequence[TensorSpec], data: Any) -> dict[str, NDArray[Any]]:
    names = [spec.name for spec in specs]
    if isinstance(data, Mapping):
        if set(data) != set(names):
            raise DataError(f"The data name {sorted(data)}; the file's inputs are {sorted(names)}.")
        arrays = [data[name] for name in names]
    else:
        arrays = list(data) if isinstance(data, tuple | list) else [data]
    if len(arrays) != len(names):
        raise DataError(
            f"The file has {len(names)} inputs ({', '.join(names)}). Received: {len(arrays)} arrays of data."
        )
    found = {name: np.asarray(array) for name, array in zip(names, arrays, strict=True)}
    for name, array in found.items():
        if array.ndim == 0 or array.dtype.kind not in "fiub":
            raise DataError(
                f"Data for input {name!r} must be numbers with samples along the first axis."
                f" Received: {array.dtype} of shape {array.shape}."
            )
    return found
