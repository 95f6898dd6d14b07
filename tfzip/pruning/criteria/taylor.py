"""How much the loss changes, to first order, when a channel goes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfzip.errors import OptionError
from tfzip.pruning.channels.view import ChannelView, Rows
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria


@criteria.register
@dataclass(frozen=True)
class TaylorCriterion(Criterion):
    """Scores a channel by `(sum(w * dL/dw))**2` over the weights that read it, averaged over batches.

    Molchanov et al. (2019), "Importance Estimation for Neural Network Pruning", equation 8. The sum over the
    weights that read a channel is `a * dL/da` of its activation, which tells what its removal changes; over
    the weights that make it, it would vanish wherever a normalization follows.
    """

    needs: ClassVar[str] = "gradients"
    in_loss: ClassVar[bool] = True

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the squared change of the loss on one batch."""
        changes: Scores = np.sum([products(rows).sum(axis=1) for rows in readers(view)], axis=0)
        return np.square(changes)


def readers(view: ChannelView) -> list[Rows]:
    """Returns the kernels that read the channels, or those that make them where none reads them."""
    found = [rows for rows in view.rows if rows.role == "in" and rows.gradients is not None]
    found = found or [rows for rows in view.kernels if rows.gradients is not None]
    if not found:
        raise OptionError(
            f"The loss has no gradient at the weights of {view.name!r}, which are frozen."
            " Set trainable=True, or leave the layer out with layers=."
        )
    return found


def products(rows: Rows) -> Scores:
    """Returns weights times gradients."""
    return rows.values.astype(np.float64) * np.asarray(rows.gradients, np.float64)
