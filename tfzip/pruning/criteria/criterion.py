"""The base of all criteria and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.registry import Registry


@dataclass(frozen=True)
class Criterion(ABC):
    """How much each weight matters. A criterion sees arrays, never layers.

    Scores add up: a pattern that removes weights in groups scores a group by the sum over its weights.
    A zero scores lowest, so a weight that is pruned stays pruned while sparsity grows.
    """

    @abstractmethod
    def score(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Returns the importance of each weight.

        Args:
            weights: A kernel of any shape, real numbers.

        Returns:
            Scores of the kernel's shape, at least 0; the lowest are pruned first. Within a kernel only their
            order matters; with a threshold across layers, their scale matters too.
        """


criteria: Registry[Criterion] = Registry("Criterion")
