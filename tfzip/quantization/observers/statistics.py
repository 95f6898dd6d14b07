"""What a tensor was over the calibration data, in constant memory."""

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import DataError

_BINS = 8192
_MOST_VALUES = 65536


class TensorStatistics:
    """Extremes of each batch and a histogram, gathered batch by batch.

    The histogram covers `[-limit, limit]` with a limit that is a power of two and doubles when a batch goes
    past it; doubling joins neighbouring bins, so earlier counts stay exact. Of large
    batches it sees a sample.

    Attributes:
        minima: Smallest value of each batch.
        maxima: Largest value of each batch.
        counts: How many values fell into each bin.
        limit: End of the histogram.
    """

    def __init__(self) -> None:
        self.minima: list[float] = []
        self.maxima: list[float] = []
        self.counts: NDArray[np.int64] = np.zeros(_BINS, np.int64)
        self.limit = 0.0
        self._rng = np.random.default_rng(0)

    def add(self, values: NDArray[np.float32]) -> None:
        """Adds a batch of any shape.

        Raises:
            DataError: A value is not finite.
        """
        values = np.asarray(values, np.float32).ravel()
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError("A tensor holds NaN or infinity, so it has no range. Check the data and weights.")
        self.minima.append(low)
        self.maxima.append(high)
        self._grow(max(-low, high))
        if values.size > _MOST_VALUES:
            values = values[self._rng.integers(0, values.size, _MOST_VALUES)]
        if self.limit:
            places = ((values.astype(np.float64) / self.limit + 1.0) * (_BINS // 2)).astype(np.int64)
            self.counts += np.bincount(np.minimum(places, _BINS - 1), minlength=_BINS)

    @property
    def low(self) -> float:
        """Smallest value of all, at most 0."""
        return min(*self.minima, 0.0)

    @property
    def high(self) -> float:
        """Largest value of all, at least 0."""
        return max(*self.maxima, 0.0)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Ends of the bins, one more than there are bins."""
        return np.linspace(-self.limit, self.limit, _BINS + 1)

    @property
    def centers(self) -> NDArray[np.float64]:
        """Middles of the bins."""
        edges = self.edges
        return (edges[:-1] + edges[1:]) / 2

    def _grow(self, magnitude: float) -> None:
        if magnitude <= self.limit:
            return
        limit = float(2.0 ** np.ceil(np.log2(magnitude)))
        if self.limit:
            joined = min(int(limit / self.limit), _BINS)
            inner = self.counts.reshape(-1, joined).sum(axis=1)
            self.counts = np.zeros(_BINS, np.int64)
            start = (_BINS - inner.size) // 2
            self.counts[start : start + inner.size] = inner
        self.limit = limit
