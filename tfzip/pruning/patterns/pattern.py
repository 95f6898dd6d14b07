"""The base of all patterns and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.registry import Registry


@dataclass(frozen=True)
class Pattern(ABC):
    """Which weights may go together. A pattern turns scores into a mask of the wanted sparsity."""

    @abstractmethod
    def mask(self, scores: NDArray[Any], sparsity: float) -> NDArray[np.bool_]:
        """Returns which weights stay.

        Args:
            scores: Importance of each weight; the lowest go first.
            sparsity: The share of weights to remove, in [0, 1).

        Returns:
            True for weights that stay, in the shape of the scores.
        """


patterns: Registry[Pattern] = Registry("Pattern")
