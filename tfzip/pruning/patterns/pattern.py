"""The base of all patterns and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.registry import Registry

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pattern(ABC):
    """Which weights may go together. A pattern turns scores into a mask of the wanted sparsity."""

    @abstractmethod
    def mask(self, scores: NDArray[Any], sparsity: float) -> Mask:
        """Returns which weights stay.

        Args:
            scores: Importance of each weight, the last two axes being inputs and outputs; the lowest go
                first. A group that goes as a whole counts the sum of its scores.
            sparsity: The share of weights to remove, in [0, 1).

        Returns:
            True for weights that stay, in the shape of the scores.
        """

    def unit(self, shape: tuple[int, ...]) -> int:  # noqa: ARG002 (others look at it)
        """Returns how many weights of a kernel go at a time."""
        return 1

    def check(self, shape: tuple[int, ...], sparsity: float) -> None:  # noqa: B027 (most need no check)
        """Raises `OptionError` if a kernel cannot have this pattern, with the nearest that it can have."""


patterns: Registry[Pattern] = Registry("Pattern")


def lowest(scores: NDArray[Any], count: int) -> Mask:
    """Returns a mask without the lowest scores, the first of equal ones first, in linear time.

    Args:
        scores: Of any shape.
        count: How many go.
    """
    flat = scores.reshape(-1)
    if count <= 0:
        return np.ones(scores.shape, dtype=np.bool_)
    threshold = np.partition(flat, count - 1)[count - 1]
    kept: Mask = flat >= threshold
    ties = np.flatnonzero(flat == threshold)
    kept[ties[: count - (flat.size - np.count_nonzero(kept))]] = False
    return kept.reshape(scores.shape)


def divisors(size: int) -> list[int]:
    """Returns the whole numbers that divide a size."""
    return [number for number in range(1, size + 1) if size % number == 0]


def nearest_divisor(size: int, wanted: int) -> int:
    """Returns the divisor of a size that is nearest to a number, the larger of two."""
    return min(divisors(size), key=lambda one: (abs(one - wanted), -one))
