"""Steps of kernels: one per output channel."""

import numpy as np
from numpy.typing import NDArray

from tfzip.schemes import TensorFormat

_SHARES = np.linspace(0.35, 1.0, 66)


def least_squares_scales(rows: NDArray[np.float32], form: TensorFormat) -> NDArray[np.float32]:
    """Returns the step of each channel with the least squared rounding error of its weights.

    Args:
        rows: Weights, one row for each output channel: (channels, weights).
        form: Format of the integers, symmetric.

    Returns:
        Steps that cover between 35 % and all of the largest magnitude, of 1 for rows of zeros: (channels,).
    """
    top = form.limits[1]
    largest = np.abs(rows).max(axis=1)
    best_error = np.full(len(rows), np.inf)
    best = np.ones(len(rows), np.float32)
    for share in _SHARES:
        steps = (np.where(largest > 0, largest * share, 1.0) / top).astype(np.float32)
        spread = steps[:, np.newaxis]
        error = ((np.clip(np.rint(rows / spread), -top, top) * spread - rows) ** 2).sum(axis=1)
        better = error < best_error
        best_error, best = np.where(better, error, best_error), np.where(better, steps, best)
    return best
