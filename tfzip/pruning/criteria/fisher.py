"""How much the loss changes, to second order, when a channel goes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria
from tfzip.pruning.criteria.taylor import products, readers


@criteria.register
@dataclass(frozen=True)
class FisherCriterion(Criterion):
    """Scores a channel by `sum((w * dL/dw)**2) / 2` over the weights that read it, averaged over batches.

    The second-order term of optimal brain damage (LeCun et al. 1990, equation 5) with the diagonal of the
    empirical Fisher matrix in place of the Hessian's, as Theis et al. (2018), "Faster gaze prediction with
    dense networks and Fisher pruning", put it; gradients are those of batches.
    """

    needs: ClassVar[str] = "gradients"
    in_loss: ClassVar[bool] = True

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the estimate on one batch."""
        scores: Scores = np.sum([np.square(products(rows)).sum(axis=1) for rows in readers(view)], axis=0)
        return scores / 2.0
