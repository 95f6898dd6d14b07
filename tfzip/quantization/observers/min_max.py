"""The extremes of all values."""

from dataclasses import dataclass

from tfzip.quantization.observers.observer import Observer, observers
from tfzip.quantization.observers.statistics import TensorStatistics
from tfzip.schemes import Range, TensorFormat


@observers.register
@dataclass(frozen=True)
class MinMaxObserver(Observer):
    """Covers every value seen: nothing is clipped, and one outlier widens every step."""

    def choose(self, statistics: TensorStatistics, form: TensorFormat) -> Range:  # noqa: ARG002
        """Returns the smallest and the largest value."""
        return statistics.low, statistics.high
