"""Chance: what every other criterion has to beat."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Scores, WeightCriterion, criteria


@criteria.register
@dataclass(frozen=True)
class RandomCriterion(WeightCriterion):
    """Draws scores. At moderate sparsity it comes close to every criterion after fine-tuning.

    Args:
        seed: Of the draw. Defaults to 0.
    """

    seed: int = 0

    def score(self, weights: NDArray[Any]) -> Scores:
        """Returns uniform draws, the same for every kernel of a shape, and 0 for a weight that is 0."""
        drawn = np.random.default_rng([self.seed, *weights.shape]).uniform(0.5, 1.0, weights.shape)
        return np.where(weights == 0, 0.0, drawn)

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns uniform draws of the group's own."""
        seeds = [self.seed, view.seed, zlib.crc32(view.name.encode())]
        return np.random.default_rng(seeds).uniform(size=view.size)
