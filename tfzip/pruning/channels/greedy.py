"""Channels in small steps, each from the group that costs the least loss."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.channels.decide import Scores, least_kept
from tfzip.pruning.channels.target import CostWithout, out_of_reach

_STEP = 0.05  # of the cost of the whole model


@dataclass(frozen=True)
class _Group:
    """A group in the order in which its channels go, and how many of them may be gone."""

    order: NDArray[np.int64]
    counts: tuple[int, ...]


def choose_greedily(
    units: Sequence[NDArray[np.int64]],
    scores: Sequence[Scores],
    fraction: float,
    *,
    multiples: Sequence[int],
    cost: CostWithout,
    loss: Callable[[Sequence[int]], float],
) -> list[int]:
    """Returns channels whose removal takes at least a fraction of the cost away.

    Yang et al. (2018), "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications", without
    the training between steps: in each step every group proposes to lose as many of its lowest channels as
    save a twentieth of the whole cost, and the proposal with the lowest loss is taken. Where no group can
    save as much, each proposes all that it can.

    Args:
        units: The channels of each group.
        scores: Their importance.
        fraction: Share of the cost to remove, in [0, 1).
        multiples: What the number of channels left of each group has to be a multiple of.
        cost: What the model costs without channels.
        loss: What it loses without channels.

    Raises:
        OptionError: The groups together cannot save as much. Each keeps at least a tenth of its channels.
    """
    groups = [
        _Group(one[np.argsort(s, kind="stable")], _counts(len(one), m))
        for one, s, m in zip(units, scores, multiples, strict=True)
    ]
    gone = [0] * len(groups)

    def without(index: int | None = None, count: int = 0) -> list[int]:
        counts = [count if place == index else now for place, now in enumerate(gone)]
        return [int(u) for group, n in zip(groups, counts, strict=True) for u in group.order[:n]]

    before = now = cost(())
    wanted = (1.0 - fraction) * before
    while now > wanted:
        goal = max(wanted, now - _STEP * before)

        def saves_enough(index: int, count: int, goal: float = goal) -> bool:
            return cost(without(index, count)) <= goal

        proposals = []
        for index, group in enumerate(groups):
            more = [count for count in group.counts if count > gone[index]]
            if more:
                place = bisect_left(more, True, key=partial(saves_enough, index))
                count = more[min(place, len(more) - 1)]
                proposals.append((index, count, cost(without(index, count))))
        full = [one for one in proposals if one[2] <= goal]
        able = full or [one for one in proposals if one[2] < now]
        if not able:
            raise out_of_reach(fraction, now / before)
        index, count, now = min(able, key=lambda one: loss(without(one[0], one[1])))
        gone[index] = count
    return without()


def _counts(size: int, multiple: int) -> tuple[int, ...]:
    """Returns how many channels of a group may be gone, from none."""
    least = max(least_kept(size), multiple)
    kept = [n for n in range(size - 1, 0, -1) if n >= least and n % multiple == 0]
    return tuple(size - n for n in kept)
