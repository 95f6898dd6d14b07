"""The same number of weights at every update."""

from dataclasses import dataclass

from tfzip.pruning.schedules.schedule import Schedule, check_ramp, ramp, schedules


@schedules.register
@dataclass(frozen=True)
class LinearSchedule(Schedule):
    """Grows sparsity in a straight line: `s = initial + (sparsity - initial) * progress`.

    Removes the same number of weights at every update. It cuts more gently at first and more harshly towards
    the end than `PolynomialSchedule`.

    Args:
        sparsity: The share of zeros at the end, in [0, 1). Defaults to 0.5.
        initial: The share of zeros at the beginning, at most `sparsity`. Defaults to 0.0.

    Example:
        >>> LinearSchedule(0.8)(0.25)
        0.2
    """

    initial: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ramp(self.initial, self.sparsity)

    def __call__(self, progress: float) -> float:
        """Returns the sparsity on the line."""
        return ramp(self.initial, self.sparsity, 1.0 - progress)
