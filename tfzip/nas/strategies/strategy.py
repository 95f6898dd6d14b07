"""The base of all strategies and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfzip.nas.space import Choices, Space
from tfzip.nas.trial import Goal, History
from tfzip.registry import Registry


@dataclass(frozen=True)
class Strategy(ABC):
    """How a search goes on. The history is all that it knows, so a search resumes and is shared.

    Attributes:
        engine: The sampler of Optuna that proposes in its place; empty for its own.
    """

    engine: ClassVar[str] = ""

    def prepared(self, space: Space, objective: Any, goal: Goal, seed: int) -> "Strategy":  # noqa: ARG002
        """Returns the strategy that a search goes by, which may look at the objective before it begins."""
        return self

    @abstractmethod
    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:
        """Returns the next sample.

        Args:
            space: What there is to choose from.
            history: Trials that have ended.
            goal: What is wanted of them.
            rng: What is drawn is drawn from it.
        """


strategies: Registry[Strategy] = Registry("Strategy")
