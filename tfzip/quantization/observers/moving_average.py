"""The usual extremes of a batch."""

from dataclasses import dataclass

from tfzip.errors import OptionError
from tfzip.quantization.observers.observer import Observer, observers
from tfzip.quantization.observers.statistics import TensorStatistics
from tfzip.schemes import Range, TensorFormat


@observers.register
@dataclass(frozen=True)
class MovingAverageObserver(Observer):
    """Averages the extremes of the batches, the latest weighing most.

    Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 3.1. The result depends on the order and the size of the batches.

    Args:
        momentum: Weight of the average so far against each new batch, in [0, 1). Defaults to 0.9.
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise OptionError(f"momentum must be in [0, 1). Received: {self.momentum!r}.")

    def choose(self, statistics: TensorStatistics, form: TensorFormat) -> Range:  # noqa: ARG002
        """Returns the averaged smallest and largest value."""
        return self._averaged(statistics.minima), self._averaged(statistics.maxima)

    def _averaged(self, values: list[float]) -> float:
        average = values[0]
        for value in values[1:]:
            average = self.momentum * average + (1 - self.momentum) * value
        return average
