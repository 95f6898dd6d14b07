"""Confidence intervals of a paired difference."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
_Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def tango_interval(gained: int, lost: int, samples: int, z: float = _Z) -> tuple[float, float]:
    """Returns the score interval of the difference of two paired proportions.

    The ends solve `(b - c - n d) / sqrt(n (2 q + d (1 - d))) = +-z`, where `q` is the likeliest probability
    of "lost" given the difference `d` (Tango 1998, Statistics in Medicine 17:891-908). At `d = 0` the left
    side is McNemar's statistic `(b - c) / sqrt(b + c)`, so the interval holds 0 exactly when McNemar's test
    keeps the hypothesis of no difference.

    Args:
        gained: Samples `b` that only the second got right.
        lost: Samples `c` that only the first got right.
        samples: All samples `n`.
        z: Normal quantile. Defaults to that of 95 %.
    """
    estimate = (gained - lost) / samples
    low = _root(lambda d: _tango_statistic(d, gained, lost, samples) - z, -1.0, estimate)
    high = _root(lambda d: _tango_statistic(d, gained, lost, samples) + z, estimate, 1.0)
    return low, high


def bootstrap_interval(differences: NDArray[Any], seed: int) -> tuple[float, float]:
    """Returns the percentile interval of the mean of paired differences (Efron 1979)."""
    if not np.isfinite(differences).all():
        return float("inf"), float("inf")
    rng, count = np.random.default_rng(seed), len(differences)
    means = [np.mean(differences[rng.integers(0, count, count)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _tango_statistic(d: float, gained: int, lost: int, samples: int) -> float:
    a = 2.0 * samples
    b = -gained - lost + (2.0 * samples - gained + lost) * d
    c = -lost * d * (1.0 - d)
    q = (np.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = samples * (2.0 * q + d * (1.0 - d))
    distance = gained - lost - samples * d
    if variance <= 0.0:
        return float(np.copysign(np.inf, distance)) if distance else 0.0
    return float(distance / np.sqrt(variance))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Returns where a decreasing function crosses zero, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if function(middle) > 0.0 else (low, middle)
    return (low + high) / 2.0
