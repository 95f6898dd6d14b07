"""Channels that disappear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd
from typing import Any

import keras
import numpy as np

from tfzip.errors import OptionError
from tfzip.explained import explained
from tfzip.given import is_number, is_whole
from tfzip.graph.channels import ChannelGroup, Channels
from tfzip.graph.walk import LayerSelection, check_built
from tfzip.pruning.channels.batches import batches_of
from tfzip.pruning.channels.decide import SCOPES, check_not_emptied, choose_channels, least_kept
from tfzip.pruning.channels.evidence import score_groups
from tfzip.pruning.channels.greedy import choose_greedily
from tfzip.pruning.channels.loss import Loss
from tfzip.pruning.channels.removable import removable
from tfzip.pruning.channels.target import (
    TARGETS,
    Cost,
    cost_without,
    file_bytes_without,
    out_of_reach,
    per_cost,
    share_for,
    until_met,
)
from tfzip.pruning.channels.undisturbed import undisturbed
from tfzip.pruning.criteria import Criterion, criteria

_ALL_SCOPES = (*SCOPES, "greedy")


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
            its int8 file, which is called about a dozen times, once more for each layer where scores are
            weighed against it, and in each greedy step for each layer. Defaults to `"channels"`.
        scope: `"layer"` takes the same share from every group of channels, `"global"` ranks all channels
            together, `"isomorphic"` those of groups of the same structure; scores that stand for a loss
            (`"taylor"`, `"fisher"`, `"sensitivity"`) are then divided by what a channel saves of the target.
            `"greedy"` removes in small steps, each from the group that raises the measured loss least; it
            needs data with targets and a compiled model. Defaults to `"layer"`.
        multiple_of: What the number of channels left has to be a multiple of, for kernels that work on 4 or 8
            at once. Defaults to 1.
        layers: Whose channels may go, as in `tfzip.graph.select_layers`. A group that any other layer makes,
            too, stays. Defaults to all.
        data: Inputs, `(inputs, targets)`, or batches of them, for criteria that look at activations,
            gradients or the loss; up to 16 batches are used. For "sensitivity" a scan stands for them
            (`tfzip.channel_sensitivity`), "movement" takes the model before training. Defaults to None.
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
    _check(fraction, target, scope, multiple_of, seed)
    if isinstance(data, list) and len(model.inputs or ()) > 1 and all(hasattr(one, "shape") for one in data):
        data = (data, None)  # an array for each input
    if scope == "greedy":
        if data is None:
            raise OptionError("scope='greedy' looks at the loss on data. Pass data=(inputs, targets).")
        data = batches_of(data)  # looked at by the criterion, too
    channels = Channels(model)
    indices = removable(model, channels, layers)
    groups = [channels.groups[index] for index in indices]
    with undisturbed(model), explained("Choosing channels", "Check that the data fit the model."):
        scores = score_groups(model, channels, chosen, data=data, seed=seed, chosen=indices)
    kinds = [_kind(group) for group in groups]
    multiples = [_of_units(group, multiple_of) for group in groups]
    units = [np.asarray(group.units) for group in groups]

    def choice(share: float) -> list[int]:
        goes = choose_channels(scores, share, scope=scope, kinds=kinds, multiples=multiples)
        return [int(unit) for one, mask in zip(units, goes, strict=True) for unit in one[mask]]

    def gone(fraction: float) -> list[int]:
        if scope == "greedy":
            loss = partial(Loss(model, data, "scope='greedy'").without, channels)
            return choose_greedily(units, scores, fraction, multiples=multiples, cost=cost, loss=loss)
        if target == "channels":
            _check_left(groups, scope, fraction)
            goes = choice(fraction)
            if not goes and multiple_of > 1 and fraction > 0.0:
                raise OptionError(
                    f"multiple_of={multiple_of} leaves all layers as wide as they are, the widest with"
                    f" {max(group.size for group in groups)} channels. Use a smaller multiple or a larger"
                    " fraction."
                )
            return goes
        return choice(share_for(choice, fraction, cost))

    with undisturbed(model):
        cost = cost_without(model, channels, indices, target)
        if chosen.in_loss and target != "channels" and scope in ("global", "isomorphic"):
            scores = per_cost(scores, [[int(unit) for unit in one] for one in units], cost)
        if target == "bytes":
            return channels.without(until_met(gone, fraction, file_bytes_without(model, channels)))
        return channels.without(gone(fraction))


def _check_left(groups: Sequence[ChannelGroup], scope: str, fraction: float) -> None:
    """Raises `OptionError` if a share of the channels is more than may go."""
    sizes = [group.size for group in groups]
    if scope == "layer":
        check_not_emptied(sizes, [group.name for group in groups], fraction)
    elif round(fraction * sum(sizes)) > (most := sum(size - least_kept(size) for size in sizes)):
        raise out_of_reach(fraction, 1 - most / sum(sizes))


@dataclass(frozen=True)
class _Kind:
    """What makes groups comparable: the layers that make and read them."""

    slices: tuple[tuple[str, str, int, str], ...]


def _kind(group: ChannelGroup) -> _Kind:
    return _Kind(tuple(sorted({(one.kind, one.weight, one.axis, one.role) for one in group.slices})))


def _of_units(group: ChannelGroup, multiple: int) -> int:
    """Returns what the number of units has to be a multiple of, so that the number of channels is one."""
    if any(one.kind.endswith("Attention") and one.axis == 1 and one.role == "out" for one in group.slices):
        return 1  # heads, each with a size of its own
    channels = min(
        one.repeat for one in group.slices
    )  # of a unit, where it is no wider for gates or shuffling
    return multiple // gcd(multiple, channels)


def _check(fraction: float, target: Any, scope: str, multiple_of: int, seed: int) -> None:
    if not is_number(fraction) or not 0.0 <= fraction < 1.0:
        raise OptionError(f"fraction must be at least 0 and below 1. Received: {fraction!r}.")
    if scope not in _ALL_SCOPES:
        raise OptionError(f"scope must be one of {', '.join(map(repr, _ALL_SCOPES))}. Received: {scope!r}.")
    for name, value, least in ("multiple_of", multiple_of, 1), ("seed", seed, 0):
        if not is_whole(value, least):
            raise OptionError(f"{name} must be a whole number of at least {least}. Received: {value!r}.")
    if not callable(target) and target not in TARGETS:
        raise OptionError(
            f"target must be one of {', '.join(map(repr, TARGETS))}, or a function from a model to its cost."
            f" Received: {target!r}."
        )
