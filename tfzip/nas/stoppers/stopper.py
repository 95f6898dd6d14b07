"""The base of all rules that end trials early, and their registry."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from tfzip.registry import Registry

Curve = Mapping[int, float]
"""What a trial was worth by step, larger for better."""


class Stopper(ABC):
    """Decides from what trials were worth on the way. Curves are all that it knows, so it is shared."""

    @abstractmethod
    def reason(self, curve: Curve, others: Sequence[Curve]) -> str:
        """Returns why a trial should not go on after its last step; nothing where it should.

        Args:
            curve: Of the trial.
            others: Of all others, ended or not.
        """


stoppers: Registry[Stopper] = Registry("Stopper")
