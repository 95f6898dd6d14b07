"""Which weights of a kernel become one: pure functions on rows of weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.quantization.clustering.centroids import choose_centroids
from tfzip.quantization.clustering.sharing import fitted_scales, nearest, nearest_codes

Matrix = NDArray[np.float32]
Index = NDArray[np.int32]
_SAME = 1e-5
_ROUNDS = 5


def assign_by_channel(rows: Matrix, clusters: int, *, spare: bool = False, **options: Any) -> Index:
    """Returns codes by k-means in each channel.

    Args:
        rows: Weights: (channels, weights of a channel).
        clusters: The most different values of a channel, its zeros included.
        spare: Whether to leave a code for zeros that are still to come. Defaults to False.
        **options: `initialization` and `seed` of `choose_centroids`.

    Returns:
        Codes, of the same shape; -1 where a weight is zero.
    """
    index = np.full(rows.shape, -1, np.int32)
    for row, codes in zip(rows, index, strict=True):
        alive = row != 0
        if alive.any():
            count = clusters - int(spare or not alive.all())
            centroids = choose_centroids(row[alive], count, **options).astype(np.float32)
            codes[alive] = nearest(row[np.newaxis, alive], centroids[np.newaxis])[0]
    return index


def assign_by_kernel(
    rows: Matrix, clusters: int, signs: Matrix, *, spare: bool = False, **options: Any
) -> Index:
    """Returns codes by k-means on weights in units of their channel's largest, then improved scales.

    Args:
        rows: Weights: (channels, weights of a channel).
        clusters: The most codes, that of zeros included.
        signs: What batch normalization multiplies a channel by, of which the sign counts: (channels,).
        spare: Whether to leave a code for zeros that are still to come. Defaults to False.
        **options: `initialization` and `seed` of `choose_centroids`.

    Returns:
        Codes, of the same shape; -1 where a weight is zero.
    """
    alive = rows != 0
    if not alive.any():
        return np.full(rows.shape, -1, np.int32)
    count = clusters - int(spare or not alive.all())
    units = largest(rows, signs)
    codes = choose_centroids((rows / units)[alive], count, pinned=(-1.0, 1.0), **options)
    for _ in range(_ROUNDS):
        index = _nearest_of(rows, units, codes, clusters)
        scales, found = map(np.asarray, fitted_scales(rows, index, clusters))
        units = np.where(scales != 0, scales, 1.0).astype(np.float32)
        used = np.union1d([0, clusters - 1], index[alive])
        codes = np.unique(found[used])
    return _nearest_of(rows, units, codes, clusters)


def recover_by_channel(rows: Matrix, clusters: int, *, spare: bool = False) -> Index | None:
    """Returns the codes of rows that share weights already, or None where they do not."""
    index = np.full(rows.shape, -1, np.int32)
    for row, codes in zip(rows, index, strict=True):
        alive = row != 0
        values, inverse = np.unique(row[alive], return_inverse=True)
        if len(values) > clusters - int(spare or not alive.all()):
            return None
        codes[alive] = inverse
    return index


def recover_by_kernel(rows: Matrix, clusters: int, signs: Matrix, *, spare: bool = False) -> Index | None:
    """Returns the codes of rows that are scales times one codebook already, or None where they are not."""
    alive = rows != 0
    units = largest(rows, signs)
    relative = np.sort((rows / units)[alive])
    begins = np.flatnonzero(np.diff(relative, prepend=-np.inf) > _SAME)
    codes = np.union1d(relative[begins], [-1.0, 1.0])
    inner = codes[np.abs(np.abs(codes) - 1.0) > _SAME]
    if len(inner) + 2 + int(spare or not alive.all()) > clusters:
        return None
    return _nearest_of(rows, units, np.concatenate([[-1.0], inner, [1.0]]), clusters)


def largest(rows: Matrix, signs: Matrix) -> Matrix:
    """Returns the largest magnitude of each channel with the sign of its factor, or 1: (channels, 1)."""
    magnitude = np.abs(rows).max(axis=1)
    found = np.where(magnitude > 0, magnitude, 1.0) * np.where(signs < 0, -1.0, 1.0)
    return np.asarray(found[:, np.newaxis], np.float32)


def _nearest_of(rows: Matrix, units: Matrix, codes: NDArray[Any], clusters: int) -> Index:
    """Returns `nearest_codes` of weights that are not zero, numbered so that the highest is the last."""
    unused = np.full(clusters - len(codes), -1.0)
    ascending = np.concatenate([unused, codes]).astype(np.float32)
    return np.array(nearest_codes(rows, units, ascending, rows != 0))
