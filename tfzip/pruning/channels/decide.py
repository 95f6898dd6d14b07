"""Which channels go: a pure function from scores to choices."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError

_LEAST = 0.1  # of each group, where groups are ranked together
SCOPES = ("layer", "global", "isomorphic")
Scores = NDArray[np.float64]
Choice = NDArray[np.bool_]


def choose_channels(
    scores: Sequence[Scores],
    fraction: float,
    *,
    scope: str,
    kinds: Sequence[Hashable],
    multiples: Sequence[int],
) -> list[Choice]:
    """Returns for each group which of its channels go: those that score lowest.

    Args:
        scores: Of the channels of each group.
        fraction: Share of channels to remove, in [0, 1).
        scope: `"layer"` takes this share from each group, `"global"` ranks the channels of all groups
            together, `"isomorphic"` those of groups of one kind (Fang et al. 2024, "Isomorphic Pruning for
            Vision Models").
        kinds: What makes groups comparable, for `"isomorphic"`.
        multiples: What the number of channels left of each group has to be a multiple of, at least once.

    Returns:
        True for channels that go. A group that is ranked with others keeps at least the best tenth of its
        channels, since one that is too narrow cuts the network apart.
    """
    if scope == "layer":
        counts = [round(fraction * len(one)) for one in scores]
    else:
        counts = [0] * len(scores)
        for members in _together(kinds if scope == "isomorphic" else [0] * len(scores)):
            for index, count in zip(members, _ranked([scores[i] for i in members], fraction), strict=True):
                counts[index] = count
    return [
        _lowest(one, len(one) - _to_multiple(len(one) - count, len(one), multiple))
        for one, count, multiple in zip(scores, counts, multiples, strict=True)
    ]


def check_not_emptied(sizes: Sequence[int], names: Sequence[str], fraction: float) -> None:
    """Raises `OptionError` if a share would leave nothing of a group that has more than one channel."""
    for size, name in zip(sizes, names, strict=True):
        if size > 1 and round(fraction * size) >= size:
            most = np.floor(100 * (size - 1) / size) / 100
            raise OptionError(
                f"fraction={fraction:g} would leave none of the {size} channels of {name!r}."
                f" Use at most {most:g}, scope='global', or leave the layer out with layers=."
            )


def least_kept(size: int) -> int:
    """Returns how many channels stay of a group that is ranked with others."""
    return math.ceil(_LEAST * size)


def _together(kinds: Sequence[Hashable]) -> list[list[int]]:
    found: dict[Hashable, list[int]] = {}
    for index, kind in enumerate(kinds):
        found.setdefault(kind, []).append(index)
    return list(found.values())


def _ranked(scores: Sequence[Scores], fraction: float) -> list[int]:
    """Returns how many channels of each group are among the lowest of all."""
    everything = np.concatenate(scores)
    owner = np.repeat(np.arange(len(scores)), [len(one) for one in scores])
    for index, one in enumerate(scores):
        best = np.argsort(one, kind="stable")[-least_kept(len(one)) :]
        everything[np.flatnonzero(owner == index)[best]] = np.inf
    count = min(round(fraction * len(everything)), np.count_nonzero(np.isfinite(everything)))
    lowest = np.argsort(everything, kind="stable")[: max(count, 0)]
    return [int(count) for count in np.bincount(owner[lowest], minlength=len(scores))]


def _to_multiple(kept: int, size: int, multiple: int) -> int:
    """Returns the nearest multiple, at least one and not more than there are; all if there are fewer."""
    return min(size, max(multiple, multiple * round(kept / multiple)), *([1] if size == 1 else []))


def _lowest(scores: Scores, count: int) -> Choice:
    goes: Choice = np.zeros(len(scores), np.bool_)
    goes[np.argsort(scores, kind="stable")[: min(count, len(scores) - 1)]] = True
    return goes
