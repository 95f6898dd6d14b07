"""The size of a weight as it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.pruning.criteria.criterion import WeightCriterion, criteria


@criteria.register
@dataclass(frozen=True)
class MagnitudeCriterion(WeightCriterion):
    """Scores a weight by its magnitude: `|w| ** order`.

    The baseline of the field (Han et al. 2015, "Learning both Weights and Connections for Efficient Neural
    Networks"). With a threshold across layers it compares raw sizes, so layers with small weights lose most;
    `L1Criterion` and `L2Criterion` measure each weight against its own layer instead. Single weights have the
    same order for both values of `order`; sums over groups are L1 norms for 1 and squared L2 norms for 2.

    Args:
        order: 1 or 2. Defaults to 1.
    """

    order: int = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise OptionError(f"The order of a magnitude is 1 (L1) or 2 (L2). Received: {self.order!r}.")

    def score(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Returns `|w| ** order`, in double precision, where small squares stay apart from zero."""
        return np.abs(weights.astype(np.float64)) ** self.order
