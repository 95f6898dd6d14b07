"""Fast while the model is redundant, slow towards the end."""

from dataclasses import dataclass

from tfzip.errors import OptionError
from tfzip.pruning.schedules.schedule import Schedule, check_ramp, ramp, schedules


@schedules.register
@dataclass(frozen=True)
class PolynomialSchedule(Schedule):
    """Prunes fast at first, when weights are plenty, and ever more slowly: the usual choice.

    Equation 1 of Zhu and Gupta (2017), "To prune, or not to prune: exploring the efficacy of pruning for
    model compression": `s = sparsity + (initial - sparsity) * (1 - progress) ** power`, with a power of 3.

    Args:
        sparsity: The share of zeros at the end, in [0, 1). Defaults to 0.5.
        initial: The share of zeros at the beginning, at most `sparsity`. Defaults to 0.0.
        power: The exponent, at least 1; 1 is a straight line. Defaults to 3.0.

    Example:
        >>> PolynomialSchedule(0.8)(0.5)
        0.7
    """

    initial: float = 0.0
    power: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ramp(self.initial, self.sparsity)
        if self.power < 1.0:
            raise OptionError(f"power must be at least 1. Received: {self.power!r}.")

    def __call__(self, progress: float) -> float:
        """Returns the sparsity on the curve."""
        return ramp(self.initial, self.sparsity, (1.0 - progress) ** self.power)
