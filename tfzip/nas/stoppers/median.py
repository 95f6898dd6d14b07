"""The median rule: what was never as good as half of the others on average is ended."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tfzip.errors import OptionError
from tfzip.nas.stoppers.stopper import Curve, Stopper, stoppers


@stoppers.register
@dataclass(frozen=True)
class MedianStopper(Stopper):
    """Ends a trial whose best value so far is below the median of the others' running means.

    Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.

    Args:
        first: Step from which on trials are ended. Defaults to 1.
        trials: How many others have to have come to a step. Defaults to 5.
    """

    first: int = 1
    trials: int = 5

    def __post_init__(self) -> None:
        if self.first < 1 or self.trials < 1:
            raise OptionError(f"first and trials are at least 1. Received: {self.first}, {self.trials}.")

    def reason(self, curve: Curve, others: Sequence[Curve]) -> str:
        """Returns why a trial should not go on after its last step."""
        step = max(curve)
        means = [
            statistics.mean(value for at, value in other.items() if at <= step)
            for other in others
            if max(other, default=0) >= step and min(other) <= step
        ]
        if step < self.first or len(means) < self.trials:
            return ""
        best, middle = max(curve.values()), statistics.median(means)
        if best >= middle:
            return ""
        return f"{best:.6g} by step {step} is below {middle:.6g}, the median of {len(means)} others"
