"""A weight's share of its kernel's energy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.criteria.criterion import WeightCriterion, criteria


@criteria.register
@dataclass(frozen=True)
class L2Criterion(WeightCriterion):
    """Scores a weight by its share of the kernel's squared L2 norm: `w**2 / mean(w**2)`.

    Like `L1Criterion`, but a few large weights raise the mean more, so that with a threshold across layers a
    kernel with heavy tails loses more of its small weights than an even one. Sums over groups are squared L2
    norms, the group importance of Fang et al. (2023), "DepGraph: Towards Any Structural Pruning".
    """

    def score(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Returns `w**2 / mean(w**2)`; zeros for a kernel of zeros."""
        energies = np.square(weights.astype(np.float64))
        mean = energies.mean()
        return energies / mean if mean > 0.0 else energies
