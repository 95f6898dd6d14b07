"""Aging evolution: the best of a few of the youngest, with one choice changed."""

from dataclasses import dataclass

import numpy as np

from tfzip.errors import OptionError
from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.trial import Goal, History, identity, tried

_TRIES = 20


@strategies.register
@dataclass(frozen=True)
class EvolutionStrategy(Strategy):
    """Changes one choice of the best of a few members of the population, which are the youngest trials.

    Real, Aggarwal, Huang, Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019,
    algorithm 1; constraints by the rules of Deb (2000). What was tried already is not tried again.

    Args:
        population: How many of the youngest trials are looked at. Defaults to 20.
        tournament: How many of these are drawn, the best of which is changed. Defaults to 10.
    """

    population: int = 20
    tournament: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.tournament <= self.population:
            raise OptionError(
                "tournament is at least 1 and at most population. Received:"
                f" {self.tournament}, {self.population}."
            )

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:
        """Returns the next sample."""
        if len(history) < self.population:
            return space.sample(rng)
        known = tried(history)
        youngest = history[-self.population :]
        proposed: Choices = {}
        for _ in range(_TRIES):
            drawn = rng.choice(len(youngest), self.tournament, replace=False)
            parent = min((youngest[index] for index in drawn), key=goal.key)
            proposed = space.mutated(parent.choices, rng)
            if identity(proposed) not in known:
                break
        return proposed
