"""How often a channel says anything."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria, mean_of


@criteria.register
@dataclass(frozen=True)
class ApozCriterion(Criterion):
    """Scores a channel by the share of its activations that are above zero: 1 less the percentage of zeros.

    Hu et al. (2016), "Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep
    Architectures", equation 1. It is made for ReLU; behind other functions few activations are zero.
    """

    needs: ClassVar[str] = "activations"

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the share, averaged over the tensors that are read."""
        return mean_of([(one > 0).reshape(view.size, -1).mean(axis=1) for one in view.activations])
