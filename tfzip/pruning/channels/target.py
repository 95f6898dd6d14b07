"""What a fraction is of: the cost of a model without some channels."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

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


def cost_without(
    model: keras.Model, channels: Channels, chosen: Sequence[int], target: str | Cost
) -> CostWithout:
    """Returns the function that tells what a model costs without some channels.

    Args:
        model: The model.
        channels: Of the model.
        chosen: Places, in `channels.groups`, of the groups that count as channels.
        target: One of `TARGETS`, or a function from a model to its cost.
    """
    measure = _file_bytes if target == "bytes" else target
    if callable(measure):
        return lambda removed: _number(measure(channels.without(removed) if removed else model))
    if target == "channels":
        total = sum(channels.groups[index].size for index in chosen)
        return lambda removed: float(total - len(removed))
    counted = getattr(ChannelCost(channels), str(target))
    return lambda removed: float(counted(channels.kept(removed)))


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


def _file_bytes(model: keras.Model) -> float:
    """Returns the size of a model's float32 file."""
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        return float(resolve(_EXPORT)(model, Path(folder) / "model.tflite").size_bytes)
