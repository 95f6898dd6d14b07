"""What a fraction is of: the cost of a model without some channels."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.graph.channels import Channels
from tfzip.pruning.channels.cost import ChannelCost
from tfzip.sandbox import resolve

Cost = Callable[[keras.Model], float]
CostWithout = Callable[[Sequence[int]], float]
TARGETS = ("channels", "macs", "parameters", "bytes")
_EXPORT = "tfzip.conversion.export:export"  # conversion is above this package
_STEPS = 12  # of the search for the share of channels that meets a target
_MOST = 0.98
_LEAST_SAVED = 1e-7  # of the whole cost: a channel that saves nothing is the last to go
_ENOUGH = 1e-3  # more than is missing, so that a choice by another cost comes to an end


def cost_without(
    model: keras.Model, channels: Channels, chosen: Sequence[int], target: str | Cost
) -> CostWithout:
    """Returns the function that tells what a model costs without some channels.

    Args:
        model: The model.
        channels: Of the model.
        chosen: Places, in `channels.groups`, of the groups that count as channels.
        target: One of `TARGETS`, or a function from a model to its cost. For `"bytes"` parameters stand in,
            with which `until_met` comes to the size of the file.
    """
    if callable(target):
        return lambda removed: _number(target(channels.without(removed) if removed else model))
    if target == "channels":
        total = sum(channels.groups[index].size for index in chosen)
        return lambda removed: float(total - len(removed))
    counted = getattr(ChannelCost(channels), "parameters" if target == "bytes" else target)
    return lambda removed: float(counted(channels.kept(removed)))


def per_cost(
    scores: Sequence[NDArray[np.float64]], units: Sequence[Sequence[int]], cost: CostWithout
) -> list[NDArray[np.float64]]:
    """Returns scores over what a channel of the group saves.

    Taking the lowest first is then the greedy choice of a knapsack: the least loss for what has to be saved
    (Dantzig 1957, "Discrete-Variable Extremum Problems"; Shen et al. 2022, "Structural Pruning via
    Latency-Saliency Knapsack"). By the scores alone, a network gives up all its cheap channels first.

    Args:
        scores: In units of the loss, of the channels of each group.
        units: Numbers of these channels.
        cost: What the model costs without some channels.
    """
    before = cost(())
    saved = [before - cost(group[:1]) for group in units]
    least = _LEAST_SAVED * before
    return [one / max(saving, least) for one, saving in zip(scores, saved, strict=True)]


def _number(cost: Any) -> float:
    try:
        number = float(cost)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise OptionError(f"The function given as target= has to return a finite number. Received: {cost!r}.")
    return number


def share_for(choice: Callable[[float], Sequence[int]], fraction: float, cost: CostWithout) -> float:
    """Returns the smallest share of channels that takes at least a fraction of the cost away.

    Raises:
        OptionError: No share does.
    """
    before = cost(())
    wanted = (1.0 - fraction) * before
    low, high = 0.0, _MOST
    least = cost(choice(high))
    if least > wanted:
        raise out_of_reach(fraction, least / before)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(choice(middle)) <= wanted else (middle, high)
    return high


def out_of_reach(fraction: float, left: float) -> OptionError:
    """Returns the error that says how much of the target is left at least."""
    return OptionError(
        f"fraction={fraction:g} cannot be met: with all channels gone that may go, {left:.1%} of the target"
        " is left. Take a smaller fraction, or let more layers lose channels."
    )


def until_met(choose: Callable[[float], list[int]], fraction: float, cost: CostWithout) -> list[int]:
    """Returns a choice by one cost that takes a fraction of another away, which takes longer to tell.

    Args:
        choose: Returns channels that take a fraction of the first cost away.
        fraction: Of the second.
        cost: The second.

    Raises:
        OptionError: No choice does.
    """
    before = cost(())
    asked, removed = fraction, choose(fraction)
    while (over := cost(removed) / before - (1.0 - fraction)) > 0.0:
        asked += over + _ENOUGH
        if asked >= 1.0:
            raise out_of_reach(fraction, over + 1.0 - fraction)
        removed = choose(asked)
    return removed


def file_bytes_without(model: keras.Model, channels: Channels) -> CostWithout:
    """Returns the function that tells the size of the float32 file without some channels."""

    def size_bytes(removed: Sequence[int]) -> float:
        with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
            small = channels.without(removed) if removed else model
            return float(resolve(_EXPORT)(small, Path(folder) / "model.tflite").size_bytes)

    return size_bytes
