"""How much a channel says on average."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria, mean_of


@criteria.register
@dataclass(frozen=True)
class MeanActivationCriterion(Criterion):
    """Scores a channel by the mean magnitude of its activations, relative to that of its group.

    Molchanov et al. (2017), "Pruning Convolutional Neural Networks for Resource Efficient Inference",
    section 2.2.
    """

    needs: ClassVar[str] = "activations"

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the mean magnitude over the tensors that are read, each divided by its own mean."""
        means = [
            np.abs(one).reshape(view.size, -1).mean(axis=1, dtype=np.float64) for one in view.activations
        ]
        return mean_of([one / (one.mean() or 1.0) for one in means])
