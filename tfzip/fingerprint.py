"""A few numbers by which the values of a tensor are recognised, whatever its layout and last bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Fingerprint = NDArray[np.float64]
TOLERANCE, _CLEAR_TOLERANCE, _CLEAR = 1e-3, 2e-2, 0.1
_QUANTILES = np.linspace(0.1, 0.9, 9)


def fingerprint(values: ArrayLike) -> Fingerprint:
    """Returns what a tensor's values are, regardless of their order.

    Args:
        values: Real numbers of any shape.

    Returns:
        Their count, smallest, largest, mean, standard deviation, mean magnitude, and nine quantiles: (15,).
    """
    flat = np.asarray(values, np.float64).ravel()
    if not flat.size:
        return np.zeros(6 + len(_QUANTILES))
    about = (flat.size, flat.min(), flat.max(), flat.mean(), flat.std(), np.abs(flat).mean())
    return np.concatenate([about, np.quantile(flat, _QUANTILES)])


def nearest(candidates: Sequence[Any], one: Fingerprint) -> int | None:
    """Returns which of several fingerprints belongs to the same values as `one`, or `None`.

    Two computations of one tensor differ by the float noise of all layers before it, so numbers may differ
    by a thousandth of the largest magnitude, and by a fiftieth where all that looks otherwise is ten times
    as far away; the count of values may not differ.

    Args:
        candidates: Fingerprints.
        one: The fingerprint looked for.
    """
    if not len(candidates):
        return None
    table = np.asarray(candidates, np.float64)
    magnitude = np.abs(one[1:3]).max()
    distances = np.abs(table[:, 1:] - one[1:]).max(axis=1)
    distances[table[:, 0] != one[0]] = np.inf
    best = int(np.argmin(distances))
    is_other = np.abs(table - table[best]).max(axis=1) > TOLERANCE * magnitude
    is_clear = distances[best] <= _CLEAR * np.min(distances[is_other], initial=np.inf)
    tolerance = _CLEAR_TOLERANCE if is_clear else TOLERANCE
    return best if distances[best] <= tolerance * magnitude else None
