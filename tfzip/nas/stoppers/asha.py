"""Asynchronous successive halving: at each rung only the best share goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from tfzip.errors import OptionError
from tfzip.nas.stoppers.stopper import Curve, Stopper, stoppers


@stoppers.register
@dataclass(frozen=True)
class AshaStopper(Stopper):
    """Lets one of `factor` trials pass each rung, compared with those that came there before.

    Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, algorithm 2, in its
    stopping variant: rungs are at `first * factor ** k` steps, and no trial waits for others.

    Args:
        first: Step of the first rung. Defaults to 1.
        factor: Of which one goes on. Defaults to 3.
    """

    first: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        if self.first < 1 or self.factor < 2:
            raise OptionError(
                f"first is at least 1 and factor at least 2. Received: {self.first}, {self.factor}."
            )

    def reason(self, curve: Curve, others: Sequence[Curve]) -> str:
        """Returns why a trial should not go on after its last step."""
        step = max(curve)
        if not self._is_rung(step):
            return ""
        there = [other[step] for other in others if step in other]
        places = max(1, (len(there) + 1) // self.factor)
        better = sum(value > curve[step] for value in there)
        if better < places:
            return ""
        return f"{curve[step]:.6g} at step {step} is place {better + 1} of {len(there) + 1}, {places} go on"

    def _is_rung(self, step: int) -> bool:
        rung = self.first
        while rung < step:
            rung *= self.factor
        return rung == step
