"""Memory for what lies between operations."""

from dataclasses import dataclass

from tfzip.costs.cost import Candidate, Cost, costs
from tfzip.errors import ModelError


@costs.register
@dataclass(frozen=True)
class ArenaBytesCost(Cost):
    """Bytes that LiteRT plans for inputs, outputs and what lives between."""

    def of(self, candidate: Candidate) -> float:
        """Returns the size of the plan."""
        planned = candidate.report.arena_bytes
        if planned is None:
            raise ModelError("The runtime does not say how much memory the file takes.")
        return planned
