"""Every weight for itself."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tfzip.pruning.patterns.pattern import Mask, Pattern, lowest, patterns


@patterns.register
@dataclass(frozen=True)
class ElementPattern(Pattern):
    """Removes single weights, exactly `round(sparsity * size)` of them, at most all but one.

    Of equal scores the one that comes first in memory goes first, so that the count is exact and the mask the
    same on every machine. (A threshold alone keeps or drops all ties together.)
    """

    def mask(self, scores: NDArray[Any], sparsity: float) -> Mask:
        """Returns the mask in time linear in the number of scores."""
        return lowest(scores, min(round(sparsity * scores.size), scores.size - 1))
