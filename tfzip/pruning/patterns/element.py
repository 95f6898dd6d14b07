"""Every weight for itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.patterns.pattern import Pattern, patterns


@patterns.register
@dataclass(frozen=True)
class ElementPattern(Pattern):
    """Removes single weights, exactly `round(sparsity * size)` of them, at most all but one.

    Of equal scores the one that comes first in memory goes first, so that the count is exact and the mask the
    same on every machine. (A threshold alone keeps or drops all ties together.)
    """

    def mask(self, scores: NDArray[Any], sparsity: float) -> NDArray[np.bool_]:
        """Returns the mask in time linear in the number of scores."""
        flat = scores.reshape(-1)
        count = min(round(sparsity * flat.size), flat.size - 1)
        if count <= 0:
            return np.ones(scores.shape, dtype=np.bool_)
        threshold = np.partition(flat, count - 1)[count - 1]
        kept: NDArray[np.bool_] = flat >= threshold
        ties = np.flatnonzero(flat == threshold)
        kept[ties[: count - (flat.size - np.count_nonzero(kept))]] = False
        return kept.reshape(scores.shape)
