"""The bases of all criteria and their registry."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.channels.view import ChannelView
from tfzip.registry import Registry

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Criterion(ABC):
    """How much each channel matters. A criterion sees arrays, never layers.

    Attributes:
        needs: What it is shown beside weights: `"activations"` or `"gradients"`, in which case its scores of
            several batches are averaged, `"loss"`, or `"start"`, the weights before training.
        in_loss: Whether scores stand for what the loss gains when a channel goes, so that they may be weighed
            against what the channel costs.
    """

    needs: ClassVar[str] = ""
    in_loss: ClassVar[bool] = False

    @abstractmethod
    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the importance of each channel of a group.

        Args:
            view: The group.

        Returns:
            Scores of shape (channels,); the lowest are removed first. Within a group only their
            order matters; where groups are ranked together, their scale matters too.
        """


@dataclass(frozen=True)
class WeightCriterion(Criterion):
    """How much each weight matters.

    Scores add up: a pattern that removes weights in groups scores a group by the sum over its weights.
    A zero scores lowest, so a weight that is pruned stays pruned while sparsity grows.
    """

    @abstractmethod
    def score(self, weights: NDArray[Any]) -> Scores:
        """Returns the importance of each weight.

        Args:
            weights: A kernel of any shape, real numbers.

        Returns:
            Scores of the kernel's shape; the lowest are pruned first, zeros before all others. Within a
            kernel only their order matters; with a threshold across layers, their scale matters too.
        """

    def score_moved(self, weights: NDArray[Any], start: NDArray[Any]) -> Scores:  # noqa: ARG002
        """Returns the importance of each weight, for criteria that compare it with what it was.

        Args:
            weights: As for `score`.
            start: The kernel before training.
        """
        return self.score(weights)

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the mean score of a channel's weights, averaged over the kernels that make and read it."""
        return mean_of([self.score(rows.values).mean(axis=1) for rows in view.kernels])


def mean_of(scores: Sequence[NDArray[Any]]) -> Scores:
    """Returns the mean of several scores, in double precision."""
    mean: Scores = np.mean(scores, axis=0, dtype=np.float64)
    return mean


criteria: Registry[Criterion] = Registry("Criterion")
