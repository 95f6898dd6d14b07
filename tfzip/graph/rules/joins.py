"""Operations that put tensors side by side, and those that take parts of one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.flat_graph import TensorRef
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule


@rule("Concatenate")
def concatenate(call: ChannelCall) -> Sequence[Axes]:
    """Puts channels side by side, or joins the same channels of different places."""
    _check_tensors(call)
    rank = len(call.results[0])
    place = call.layer.axis % rank
    axes: list[Labels | None] = []
    for axis in range(rank):
        parts = [known[axis] for known in call.inputs]
        found = [labels for labels in parts if labels is not None]
        if not found:
            axes.append(None)
        elif axis == place:
            axes.append(
                np.concatenate(
                    [call.stated(one, shape[axis]) for one, shape in zip(parts, call.shapes, strict=True)]
                )
            )
        else:
            axes.append(_same(call, found, len(parts)))
    return [tuple(axes)]


def _check_tensors(call: ChannelCall) -> None:
    """Raises `Barrier` where a constant is among what is joined."""
    joined = next(iter([*call.node.args, *call.node.kwargs.values()]))
    if len(joined) != len(call.inputs):
        raise Barrier("it joins them with a constant")


def _same(call: ChannelCall, found: list[Labels], parts: int) -> Labels | None:
    if len(found) < parts:
        call.fix(tuple(found), "it joins them with channels that stay")
        return None
    for labels in found[1:]:
        call.positions.unite(found[0], labels)
    return found[0]


@rule("Stack")
def stack(call: ChannelCall) -> Sequence[Axes]:
    """Puts tensors of one shape along a new axis."""
    _check_tensors(call)
    axes: list[Labels | None] = []
    for axis in range(len(call.inputs[0])):
        parts = [known[axis] for known in call.inputs]
        found = [labels for labels in parts if labels is not None]
        axes.append(_same(call, found, len(parts)) if found else None)
    axes.insert(call.layer.axis % len(call.results[0]), None)
    return [tuple(axes)]


@rule("Split")
def split(call: ChannelCall) -> Sequence[Axes]:
    """Takes an axis apart."""
    place = call.layer.axis % len(call.inputs[0])
    labels = call.inputs[0][place]
    if labels is None:
        return [call.unchanged() for _ in call.results]
    bounds = np.cumsum([shape[place] for shape in call.results])[:-1]
    parts = np.split(labels, bounds)

    def edit(config: dict[str, Any], kept: Kept) -> dict[str, Any]:
        return config | {"indices_or_sections": [kept.count(labels[:bound]) for bound in bounds]}

    call.edits.config.append(edit)
    return [_with(call.inputs[0], place, part) for part in parts]


def _with(axes: Axes, place: int, labels: Labels | None) -> Axes:
    return (*axes[:place], labels, *axes[place + 1 :])


@rule("Unstack")
def unstack(call: ChannelCall) -> Sequence[Axes]:
    """Takes an axis apart, place by place."""
    place = call.layer.axis % len(call.inputs[0])
    call.fix((call.inputs[0][place],), "it takes channels apart")
    rest = call.inputs[0][:place] + call.inputs[0][place + 1 :]
    return [rest for _ in call.results]


@rule("GetItem")
def get_item(call: ChannelCall) -> Sequence[Axes]:
    """Takes a range of channels; other indices into channels cannot be followed."""
    key = call.node.args[1]
    items = list(key) if isinstance(key, tuple) else [key]
    if any(item is None or isinstance(item, TensorRef | np.ndarray | list) for item in items):
        call.fix(call.inputs[0], "it takes them by an index")
        return [(None,) * len(call.results[0])]
    if Ellipsis in items:
        dots = items.index(Ellipsis)
        items[dots : dots + 1] = [slice(None)] * (len(call.inputs[0]) - len(items) + 1)
    items += [slice(None)] * (len(call.inputs[0]) - len(items))
    axes = [
        _taken(call, labels, item)
        for labels, item in zip(call.inputs[0], items, strict=True)
        if isinstance(item, slice)
    ]
    for labels, item in zip(call.inputs[0], items, strict=True):
        if not isinstance(item, slice):
            call.fix((labels,), "it takes one of them by its index")

    def edit(args: Any, kwargs: Any, kept: Kept) -> Any:
        cut = tuple(_narrowed(item, labels, kept) for labels, item in zip(call.inputs[0], items, strict=True))
        return (args[0], cut, *args[2:]), kwargs

    if any(labels is not None for labels in call.inputs[0]):
        call.edits.arguments.append(edit)
    return [tuple(axes)]


def _taken(call: ChannelCall, labels: Labels | None, item: slice) -> Labels | None:
    if labels is None:
        return None
    if item.step not in (None, 1):
        call.fix((labels,), "it takes every other of them")
    return labels[item]


def _narrowed(item: Any, labels: Labels | None, kept: Kept) -> Any:
    """Returns a slice of the channels that are left of a slice of all."""
    if labels is None or item == slice(None) or not isinstance(item, slice) or item.step not in (None, 1):
        return item
    start, stop, _ = item.indices(len(labels))
    before = kept.count(labels[:start])
    return slice(before, before + kept.count(labels[start:stop]), None)


@rule("Pad")
def pad(call: ChannelCall) -> Sequence[Axes]:
    """Adds numbers around an axis; those that it adds to channels stay."""
    added = call.layer.pad_width
    pairs = (
        [(added, added)] * len(call.inputs[0]) if isinstance(added, int) else [tuple(one) for one in added]
    )
    axes: list[Labels | None] = []
    for labels, (before, after) in zip(call.inputs[0], pairs, strict=True):
        if labels is None or not (before or after):
            axes.append(labels)
            continue
        if call.layer.mode != "constant":
            call.fix((labels,), "it mirrors channels")
        sides = [call.stated(None, size) for size in (before, after)]
        axes.append(np.concatenate([sides[0], labels, sides[1]]))
    return [tuple(axes)]
