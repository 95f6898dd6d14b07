"""A weight's share of its kernel's L1 norm."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.criteria.criterion import WeightCriterion, criteria


@criteria.register
@dataclass(frozen=True)
class L1Criterion(WeightCriterion):
    """Scores a weight by its magnitude relative to its kernel: `|w| / mean(|w|)`.

    Free of the kernel's scale, so that a threshold across layers does not empty a layer only because its
    weights are small. Layers are made comparable by their own norm, as Molchanov et al. (2017), "Pruning
    Convolutional Neural Networks for Resource Efficient Inference", section 2.3, do; the mean takes the place
    of the sum so that the size of a kernel does not matter. Within one kernel the order is that of
    `MagnitudeCriterion`.
    """

    def score(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Returns `|w| / mean(|w|)`; zeros for a kernel of zeros."""
        sizes = np.abs(weights.astype(np.float64))
        mean = sizes.mean()
        return sizes / mean if mean > 0.0 else sizes
