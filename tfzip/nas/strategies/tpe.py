"""Tree-structured Parzen estimator: densities of good and of other samples."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.trial import Goal, History


@strategies.register
@dataclass(frozen=True)
class TpeStrategy(Strategy):
    """Draws where good samples are dense and others are not; a strong baseline, for mixed choices above all.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; Optuna's multivariate
    sampler, which knows constraints.
    """

    engine: ClassVar[str] = "tpe"

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:  # noqa: ARG002
        """Returns a sample drawn anew; a search asks Optuna instead."""
        return space.sample(rng)
