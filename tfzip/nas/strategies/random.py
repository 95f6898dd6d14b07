"""Samples at random: what the others are compared with."""

from dataclasses import dataclass

import numpy as np

from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.trial import Goal, History


@strategies.register
@dataclass(frozen=True)
class RandomStrategy(Strategy):
    """Draws every sample anew."""

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:  # noqa: ARG002
        """Returns the next sample."""
        return space.sample(rng)
