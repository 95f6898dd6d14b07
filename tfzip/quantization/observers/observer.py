"""From what was seen of an activation to the range of its grid."""

from abc import ABC, abstractmethod

from tfzip.quantization.observers.statistics import TensorStatistics
from tfzip.registry import Registry
from tfzip.schemes import Range, TensorFormat

_TINY = 1e-6


class Observer(ABC):
    """Chooses a range. Subclasses are frozen dataclasses."""

    def range(self, statistics: TensorStatistics, form: TensorFormat) -> Range:
        """Returns a range that contains 0 and is not empty; around 0 for symmetric formats.

        A tensor that was always 0 gets the range from 0 to 1: any would do, but XNNPACK refuses operations
        whose result has a step far below those of what it is made from.

        Args:
            statistics: What was seen.
            form: Format of the integers.
        """
        is_zero = statistics.low == statistics.high
        low, high = (0.0, 1.0) if is_zero else self.choose(statistics, form)
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < _TINY:
            high = _TINY
        return (-max(-low, high), max(-low, high)) if form.symmetric else (low, high)

    @abstractmethod
    def choose(self, statistics: TensorStatistics, form: TensorFormat) -> Range:
        """Returns the ends of the range before it is made to contain 0."""


observers: Registry[Observer] = Registry("Observer")
