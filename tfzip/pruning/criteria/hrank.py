"""How much information the map of a channel holds."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria, mean_of

_PLANE = 4  # axes of channels, examples, rows and columns


@criteria.register
@dataclass(frozen=True)
class HrankCriterion(Criterion):
    """Scores a channel by the mean rank of its feature maps, relative to the highest rank there can be.

    Lin et al. (2020), "HRank: Filter Pruning using High-Rank Feature Map", equation 6; a few hundred images
    are enough. A channel without a plane has rank 0 or 1.
    """

    needs: ClassVar[str] = "activations"

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the mean rank on one batch, over the tensors that are read."""
        return mean_of([_ranks(one) for one in view.activations])


def _ranks(maps: NDArray[Any]) -> Scores:
    if maps.ndim < _PLANE:
        ranks, most = (maps != 0).any(axis=-1, keepdims=True), 1
    else:
        ranks, most = np.linalg.matrix_rank(maps.reshape(-1, *maps.shape[-2:])), min(maps.shape[-2:])
    scores: Scores = ranks.reshape(len(maps), -1).mean(axis=1) / most
    return scores
