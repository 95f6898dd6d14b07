"""NSGA-II: a population that is sorted by what dominates what."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfzip.errors import OptionError
from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.trial import Goal, History


@strategies.register
@dataclass(frozen=True)
class Nsga2Strategy(Strategy):
    """Crosses and mutates the members of the first fronts; for several objectives.

    Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEC 2002; Optuna's
    sampler, which knows constraints.

    Args:
        population: Members of a generation. Defaults to 20.
    """

    engine: ClassVar[str] = "nsga2"

    population: int = 20

    def __post_init__(self) -> None:
        if self.population < 2:
            raise OptionError(f"population is at least 2. Received: {self.population}.")

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:  # noqa: ARG002
        """Returns a sample drawn anew; a search asks Optuna instead."""
        return space.sample(rng)
