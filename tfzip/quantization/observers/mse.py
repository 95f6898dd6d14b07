"""The range with the least squared error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfzip.quantization.observers.observer import Observer, observers
from tfzip.quantization.observers.statistics import TensorStatistics
from tfzip.schemes import Range, TensorFormat

_SHARES = np.linspace(0.1, 1.0, 91)


@observers.register
@dataclass(frozen=True)
class MseObserver(Observer):
    """Weighs clipping against step size: least expected squared difference of a value and its integer.

    First both ends are drawn in by one share, then each by its own. The error of a histogram's bin is that of
    its middle. As in Choukroun et al. 2019, "Low-bit Quantization of Neural Networks for Efficient
    Inference".
    """

    def choose(self, statistics: TensorStatistics, form: TensorFormat) -> Range:
        """Returns the best of the ranges tried."""
        seen = statistics.counts > 0
        counts, centers = statistics.counts[seen], statistics.centers[seen]
        low, high = statistics.low, statistics.high
        if form.symmetric:
            low, high = -max(-low, high), max(-low, high)

        def error(ends: Range) -> float:
            return _squared_error(counts, centers, ends, form.bits)

        _, both = min((error((low * share, high * share)), share) for share in _SHARES)
        low, high = low * both, high * both
        if form.symmetric:
            return low, high
        _, low = min((error((low * share, high)), low * share) for share in _SHARES)
        _, high = min((error((low, high * share)), high * share) for share in _SHARES)
        return low, high


def _squared_error(counts: NDArray[np.int64], centers: NDArray[np.float64], ends: Range, bits: int) -> float:
    low, high = ends
    step = (high - low) / (2**bits - 1)
    if step <= 0:
        return float(counts @ centers**2)
    rounded = np.rint((np.clip(centers, low, high) - low) / step) * step + low
    return float(counts @ (rounded - centers) ** 2)
