"""The range that keeps most of a distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfzip.quantization.observers.observer import Observer, observers
from tfzip.quantization.observers.statistics import TensorStatistics
from tfzip.schemes import Range, TensorFormat

_SHARES = np.linspace(0.2, 1.0, 81)
_LEAST = 1e-12


@observers.register
@dataclass(frozen=True)
class EntropyObserver(Observer):
    """Compares the clipped histogram with the same histogram on the integers' levels.

    The range with the least Kullback-Leibler divergence of the two: Migacz 2017, "8-bit Inference with
    TensorRT", with both ends of the range drawn in by one share instead of one end of magnitudes.
    """

    def choose(self, statistics: TensorStatistics, form: TensorFormat) -> Range:
        """Returns the best of the ranges tried."""
        low, high = statistics.low, statistics.high
        if form.symmetric:
            low, high = -max(-low, high), max(-low, high)
        _, share = min(
            (_divergence(statistics, (low * share, high * share), 2**form.bits), share) for share in _SHARES
        )
        return low * share, high * share


def _divergence(statistics: TensorStatistics, ends: Range, levels: int) -> float:
    counts, centers = statistics.counts.astype(np.float64), statistics.centers
    inside = (centers >= ends[0]) & (centers <= ends[1])
    if not inside.any():
        return np.inf
    kept = counts[inside]
    clipped = kept.copy()
    clipped[0] += counts[centers < ends[0]].sum()
    clipped[-1] += counts[centers > ends[1]].sum()
    level = ((centers[inside] - ends[0]) / (ends[1] - ends[0]) * (levels - 1) + 0.5).astype(np.int64)
    return _kullback_leibler(clipped, _spread(kept, level, levels))


def _spread(kept: NDArray[np.float64], level: NDArray[np.int64], levels: int) -> NDArray[np.float64]:
    """Returns the histogram that the levels know: the values of a level, evenly over its bins in use."""
    total = np.bincount(level, kept, levels)
    used = np.bincount(level, kept > 0, levels)
    return np.where(kept > 0, total[level] / np.maximum(used[level], 1), 0.0)


def _kullback_leibler(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    p, q = first / first.sum(), second / max(second.sum(), _LEAST)
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / np.maximum(q[used], _LEAST))))
