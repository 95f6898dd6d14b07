"""Channels that disappear."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzip.errors import OptionError
from tfzip.graph.channels import ChannelGroup, Channels
from tfzip.graph.walk import LayerSelection, check_built, select_layers
from tfzip.pruning.channels.cost import ChannelCost
from tfzip.pruning.channels.decide import SCOPES, check_not_emptied, choose_channels
from tfzip.pruning.channels.evidence import score_groups
from tfzip.pruning.criteria import Criterion, criteria
from tfzip.sandbox import resolve

Cost = Callable[[keras.Model], float]
TARGETS = ("channels", "macs", "parameters", "bytes")
_EXPORT = "tfzip.conversion.export:export"  # conversion is above this package
_STEPS = 12  # of the search for the share of channels that meets a target
_MOST = 0.98


def remove_channels(
    model: keras.Model,
    fraction: float = 0.5,
    *,
    criterion: Criterion | str | Mapping[str, Any] = "magnitude",
    target: str | Cost = "channels",
    scope: str = "layer",
    multiple_of: int = 1,
    layers: LayerSelection = None,
    data: Any = None,
    seed: int = 0,
) -> keras.Model:
    """Returns a smaller model: channels that matter least are gone, with all that made and read them.

    What has to go together is found on the flat graph (Fang et al. 2023, "DepGraph: Towards Any Structural
    Pruning"): channels that meet in an addition, the heads of an attention layer, the gates of a recurrent
    unit. The result computes exactly what the model would compute with zeros in place of these channels;
    train it on to make up for them. It is a plain Functional Keras model without any class of tfzip.

    Args:
        model: A built model. It is left as it is.
        fraction: How much of the target to remove, in [0, 1). Defaults to 0.5.
        criterion: How much a channel matters: a `Criterion`, its name or a mapping. Defaults to
            `"magnitude"`.
        target: What the fraction is of: `"channels"`, `"macs"`, `"parameters"`, `"bytes"` (of the exported
            float32 file), or a function that returns the cost of a model, such as its latency or the size of
            its int8 file. Files are written, and a function is called, about a dozen times. Defaults to
            `"channels"`.
        scope: `"layer"` takes the same share from every group of channels, `"global"` ranks all channels
            together, `"isomorphic"` those of groups of the same structure. Defaults to `"layer"`.
        multiple_of: What the number of channels left has to be a multiple of, for kernels that work on 4 or 8
            at once. Defaults to 1.
        layers: Whose channels may go, as in `tfzip.graph.select_layers`. A group that any other layer makes,
            too, stays. Defaults to all.
        data: Inputs, `(inputs, targets)`, or batches of them, for criteria that look at activations,
            gradients or the loss; up to 16 batches are used. Defaults to None.
        seed: Of what is drawn. Defaults to 0.

    Returns:
        The smaller model, not compiled.

    Raises:
        ModelError: The model is not built, or a layer cannot be made again from its config.
        OptionError: An argument is out of range, nothing can be removed, a layer would be emptied, the target
            cannot be met, or the criterion needs data or a loss that is missing.

    Example:
        >>> small = tfzip.remove_channels(model, 0.5, criterion="taylor", data=(x[:512], y[:512]))
        >>> small.compile("adam", loss); small.fit(x, y, epochs=3)
    """
    check_built(model)
    chosen = criteria.get(criterion)
    _check(fraction, target, scope, multiple_of)
    channels = Channels(model)
    indices = _removable(model, channels, layers)
    groups = [channels.groups[index] for index in indices]
    scores = score_groups(model, channels, chosen, data=data, seed=seed, chosen=indices)
    kinds = [_kind(group) for group in groups]
    multiples = [multiple_of if _is_plain(group) else 1 for group in groups]

    def choice(share: float) -> list[int]:
        goes = choose_channels(scores, share, scope=scope, kinds=kinds, multiples=multiples)
        picked = [np.asarray(group.units)[mask] for group, mask in zip(groups, goes, strict=True)]
        return [int(unit) for unit in np.concatenate(picked)]

    if target == "channels":
        if scope == "layer":
            check_not_emptied([group.size for group in groups], [group.name for group in groups], fraction)
        return channels.without(choice(fraction))
    return channels.without(choice(_share_for(model, channels, choice, fraction, target)))


@dataclass(frozen=True)
class _Kind:
    """What makes groups comparable: the layers that make and read them."""

    slices: tuple[tuple[str, str, int, str], ...]


def _kind(group: ChannelGroup) -> _Kind:
    return _Kind(tuple(sorted({(one.kind, one.weight, one.axis, one.role) for one in group.slices})))


def _is_plain(group: ChannelGroup) -> bool:
    """Whether a unit is one channel, and not a head or a group of them."""
    return all(one.repeat == 1 for one in group.slices if one.role == "out")


def _check(fraction: float, target: Any, scope: str, multiple_of: int) -> None:
    if not 0.0 <= fraction < 1.0:
        raise OptionError(f"fraction must be at least 0 and below 1. Received: {fraction!r}.")
    if scope not in SCOPES:
        raise OptionError(f"scope must be one of {', '.join(map(repr, SCOPES))}. Received: {scope!r}.")
    if not isinstance(multiple_of, int) or multiple_of < 1:
        raise OptionError(f"multiple_of must be a whole number of at least 1. Received: {multiple_of!r}.")
    if not callable(target) and target not in TARGETS:
        raise OptionError(
            f"target must be one of {', '.join(map(repr, TARGETS))}, or a function from a model to its cost."
            f" Received: {target!r}."
        )


def _removable(model: keras.Model, channels: Channels, layers: LayerSelection) -> list[int]:
    """Returns the groups that may go."""
    selected = {item.path for item in select_layers(model, layers)}
    made_by = [{one.path for one in group.slices if one.role == "out"} for group in channels.groups]
    found = [
        index
        for index, paths in enumerate(made_by)
        if (layers is None or (paths and paths <= selected)) and channels.groups[index].size > 1
    ]
    if not found:
        raise OptionError(f"No channel of model {model.name!r} can be removed: {_why(channels, selected)}.")
    return found


def _why(channels: Channels, selected: set[str]) -> str:
    """Returns why the channels of the selected layers stay."""
    coupled = [
        f"{one.path!r} is coupled with {other.path!r}, which layers= leaves out"
        for group in channels.groups
        for one in group.slices
        for other in group.slices
        if one.role == other.role == "out" and one.path in selected and other.path not in selected
    ]
    stays = [
        f"{one.path!r} ({group.reason})"
        for group in channels.fixed
        for one in group.slices
        if one.role == "out" and one.path in selected
    ]
    return "; ".join(dict.fromkeys([*coupled, *stays][:3])) or "it has no layers whose channels are coupled"


def _share_for(
    model: keras.Model,
    channels: Channels,
    choice: Callable[[float], Sequence[int]],
    fraction: float,
    target: str | Cost,
) -> float:
    """Returns the smallest share of channels that takes at least a fraction of the target away."""
    counted = ChannelCost(channels)

    def cost(share: float | None) -> float:
        removed = [] if share is None else choice(share)
        measure = _file_bytes if target == "bytes" else target
        if callable(measure):
            return float(measure(model if share is None else channels.without(removed)))
        return float(getattr(counted, str(target))(channels.kept(removed)))

    before = cost(None)
    wanted = (1.0 - fraction) * before
    low, high = 0.0, _MOST
    least = cost(high)
    if least > wanted:
        raise OptionError(
            f"fraction={fraction:g} cannot be met: with {_MOST:.0%} of the channels gone,"
            f" {least / before:.1%} of the target is left. Take a smaller fraction, or let more"
            " layers lose channels."
        )
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) <= wanted else (middle, high)
    return high


def _file_bytes(model: keras.Model) -> float:
    """Returns the size of a model's float32 file."""
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        return float(resolve(_EXPORT)(model, Path(folder) / "model.tflite").size_bytes)
