"""Size of the file."""

from dataclasses import dataclass

from tfzip.costs.cost import Candidate, Cost, costs


@costs.register
@dataclass(frozen=True)
class FileBytesCost(Cost):
    """Bytes of the exported file."""

    def of(self, candidate: Candidate) -> float:
        """Returns the size of the file."""
        return candidate.path.stat().st_size
