"""The multiple-choice knapsack: one option from each group, the least total loss within a limit of cost.

Solved exactly by dynamic programming over undominated pairs of cost and loss (Nemhauser and Ullmann 1969,
Management Science 15:494-505), which takes costs of any unit: bytes or milliseconds. Pairs that cannot lead
to an optimum are left out by a Lagrangian bound (Fisher 1981, Management Science 27:1-18), so that a hundred
groups take milliseconds. A solver library would add a dependency and a tolerance for less than these lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BISECTIONS = 60
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Options:
    """The options of one group.

    Attributes:
        costs: Cost of each: (options,).
        losses: Loss of each: (options,).
    """

    costs: Floats
    losses: Floats


def choose(groups: Sequence[Options], limit: float) -> list[int] | None:
    """Returns the option of each group with the least total loss, or `None` when none fits.

    Args:
        groups: Options of each group; costs and losses are finite, of either sign.
        limit: Most that the costs may come to.

    Returns:
        Indices of options. Among equal losses the cheaper choice wins.
    """
    if sum(float(group.costs.min()) for group in groups) > limit:
        return None
    price, most = _bound(groups, limit)
    cheapest = _suffix_sums([float(group.costs.min()) for group in groups])
    reduced = _suffix_sums([float((group.losses + price * group.costs).min()) for group in groups])
    costs, losses = np.zeros(1), np.zeros(1)
    steps: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    for place, group in enumerate(groups, 1):
        all_costs = (costs[:, np.newaxis] + group.costs).ravel()
        all_losses = (losses[:, np.newaxis] + group.losses).ravel()
        fits = all_costs + cheapest[place] <= limit
        can_win = all_losses + price * (all_costs - limit) + reduced[place] <= most
        kept = _undominated(all_costs, all_losses, np.flatnonzero(fits & can_win))
        costs, losses = all_costs[kept], all_losses[kept]
        steps.append(np.divmod(kept, len(group.costs)))
    return _traced(steps, int(np.argmin(losses)))


def _undominated(costs: Floats, losses: Floats, among: NDArray[np.intp]) -> NDArray[np.intp]:
    """Returns the pairs that no cheaper or equal one beats, cheapest first."""
    ordered = among[np.lexsort((losses[among], costs[among]))]
    values = losses[ordered]
    before = np.concatenate(([np.inf], np.minimum.accumulate(values)[:-1]))
    return ordered[values < before]


def _traced(steps: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], end: int) -> list[int]:
    chosen = []
    for parents, options in reversed(steps):
        chosen.append(int(options[end]))
        end = int(parents[end])
    return chosen[::-1]


def _bound(groups: Sequence[Options], limit: float) -> tuple[float, float]:
    """Returns a price of cost, and the loss of a choice that fits: no optimum loses more."""

    def priced(price: float) -> tuple[float, float]:
        best = [int(np.lexsort((group.costs, group.losses + price * group.costs))[0]) for group in groups]
        pairs = list(zip(groups, best, strict=True))
        return sum(float(g.costs[i]) for g, i in pairs), sum(float(g.losses[i]) for g, i in pairs)

    cost, loss = priced(0.0)
    if cost <= limit:
        return 0.0, _padded(loss)
    low, high = 0.0, 1.0
    while priced(high)[0] > limit and high < 1e300:
        low, high = high, high * 4
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if priced(middle)[0] <= limit else (middle, high)
    cost, loss = priced(high)
    return high, _padded(loss) if cost <= limit else np.inf


def _padded(loss: float) -> float:
    return loss + _ROUNDING * (1 + abs(loss))


def _suffix_sums(values: Sequence[float]) -> list[float]:
    """Returns, for each place, the sum of what comes from it on."""
    sums = [0.0]
    for value in reversed(values):
        sums.append(sums[-1] + value)
    return sums[::-1]
