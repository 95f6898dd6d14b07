"""Multiply-accumulates of an inference."""

from dataclasses import dataclass

from tfzip.costs.cost import Candidate, Cost, costs
from tfzip.errors import ModelError


@costs.register
@dataclass(frozen=True)
class MacsCost(Cost):
    """Multiply-accumulates of an inference, from the graph."""

    def of(self, candidate: Candidate) -> float:
        """Returns their number; raises `ModelError` where no rule counts a layer."""
        unknown = [layer.path for layer in candidate.profile.layers if layer.macs is None]
        if unknown:
            raise ModelError(f"The multiply-accumulates of {', '.join(unknown)} are not known.")
        return candidate.profile.macs
