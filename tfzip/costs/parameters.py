"""Numbers that a network holds."""

from dataclasses import dataclass

from tfzip.costs.cost import Candidate, Cost, costs


@costs.register
@dataclass(frozen=True)
class ParametersCost(Cost):
    """Numbers that the network holds, trainable or not."""

    def of(self, candidate: Candidate) -> float:
        """Returns their number."""
        return candidate.profile.parameters
