"""Positions along axes, and which of them stand or fall together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


class Positions:
    """Gives positions numbers, notes which of them are one, and which can never go."""

    def __init__(self) -> None:
        self._count = 0
        self._pairs: list[tuple[Labels, Labels]] = []
        self._fixed: list[tuple[Labels, str]] = []

    def fresh(self, size: int) -> Labels:
        """Returns numbers for the positions of an axis of its own."""
        self._count += size
        return np.arange(self._count - size, self._count)

    def unite(self, first: Labels, second: Labels) -> None:
        """Notes that positions go together, one by one; shapes are broadcast."""
        if first is not second:
            one, other = np.broadcast_arrays(first, second)
            self._pairs.append((one.reshape(-1), other.reshape(-1)))

    def fix(self, labels: Labels, reason: str) -> None:
        """Notes that positions stay, whatever happens."""
        self._fixed.append((labels.reshape(-1), reason))

    def resolve(self) -> "Units":
        """Returns what the notes come to, in time that grows like their number."""
        unit_of = _components(self._count, self._pairs)
        reasons: dict[int, str] = {}
        for labels, reason in self._fixed:
            for unit in np.unique(unit_of[labels]).tolist():
                reasons.setdefault(unit, reason)
        return Units(unit_of, reasons)


@dataclass(frozen=True)
class Units:
    """Positions that go together have the same number, that of the first of them.

    Attributes:
        unit_of: The unit of each position.
        reasons: Why a unit has to stay, for those that have to.
    """

    unit_of: Labels
    reasons: dict[int, str]


@dataclass(frozen=True)
class Kept:
    """A choice of units.

    Attributes:
        stays: Whether the unit of each position stays.
    """

    stays: NDArray[np.bool_]

    def mask(self, labels: Labels) -> NDArray[np.bool_]:
        """Returns which positions of an axis stay."""
        return self.stays[labels]

    def count(self, labels: Labels) -> int:
        """Returns how many positions of an axis stay."""
        return int(np.count_nonzero(self.stays[labels]))


def _components(count: int, pairs: list[tuple[Labels, Labels]]) -> Labels:
    """Returns the lowest number connected with each: hooks to the lower neighbour, then shortens paths."""
    lowest = np.arange(count)
    if not pairs:
        return lowest
    first = np.concatenate([pair[0] for pair in pairs])
    second = np.concatenate([pair[1] for pair in pairs])
    while True:
        one, other = lowest[first], lowest[second]
        apart = one != other
        if not apart.any():
            return lowest
        first, second = first[apart], second[apart]
        np.minimum.at(lowest, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while not np.array_equal(shorter := lowest[lowest], lowest):
            lowest = shorter
