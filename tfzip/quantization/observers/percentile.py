"""All but the rarest values."""

from dataclasses import dataclass

import numpy as np

from tfzip.errors import OptionError
from tfzip.quantization.observers.observer import Observer, observers
from tfzip.quantization.observers.statistics import TensorStatistics
from tfzip.schemes import Range, TensorFormat


@observers.register
@dataclass(frozen=True)
class PercentileObserver(Observer):
    """Leaves out the outermost values on either side.

    Wu et al. 2020, "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation".

    Args:
        percentile: Share of the values, in per cent as the field counts it, that each end covers. Defaults
            to 99.99.
    """

    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise OptionError(f"percentile must be in (50, 100]. Received: {self.percentile!r}.")

    def choose(self, statistics: TensorStatistics, form: TensorFormat) -> Range:  # noqa: ARG002
        """Returns the outer edges of the outermost bins that count."""
        counts, edges = statistics.counts, statistics.edges
        outside = (1 - self.percentile / 100) * counts.sum()
        first = int(np.searchsorted(np.cumsum(counts), outside, side="right"))
        last = counts.size - int(np.searchsorted(np.cumsum(counts[::-1]), outside, side="right"))
        if first >= last:
            return statistics.low, statistics.high
        return max(float(edges[first]), statistics.low), min(float(edges[last]), statistics.high)
