"""Operations that order, merge and divide axes."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule

Block = tuple[list[int], list[int]]


@rule("Reshape", "Flatten")
def reshape(call: ChannelCall) -> Sequence[Axes]:
    """Follows positions through each part of the shape that is divided otherwise.

    Where an axis of channels is divided, its largest part keeps them: what is removed is removed at the same
    place of all other parts.
    """
    if getattr(call.layer, "data_format", None) == "channels_first" and len(call.inputs[0]) > 2:
        raise Barrier("it moves channels behind the other axes first")
    before, after = call.shapes[0], call.results[0]
    axes: list[Labels | None] = [None] * len(after)
    for sources, targets in _blocks(before, after):
        for axis, labels in _passed(call, sources, targets):
            axes[axis] = labels
    if type(call.layer).__name__ == "Reshape" and any(labels is not None for labels in axes):
        call.edits.config.append(lambda config, kept: config | _target(config, axes, after, kept))
    return [tuple(axes)]


def _blocks(before: Sequence[int | None], after: Sequence[int | None]) -> Iterator[Block]:
    """Yields axes before and after that hold the same numbers, in the smallest parts there are.

    Raises:
        Barrier: Sizes that are not fixed leave it open.
    """
    first = 1 if before[0] is None and after[0] is None else 0
    if None in before[first:] or None in after[first:]:
        raise Barrier("it divides axes whose sizes are not fixed")
    if first and prod(size or 1 for size in before[1:]) != prod(size or 1 for size in after[1:]):
        raise Barrier("it merges axes with the batch")
    if first:
        yield [0], [0]
    sources, targets = list(range(first, len(before))), list(range(first, len(after)))
    block: Block = ([], [])
    while sources or targets:
        sizes = [
            prod(shape[axis] or 1 for axis in axes)
            for shape, axes in zip((before, after), block, strict=True)
        ]
        if block[0] and block[1] and sizes[0] == sizes[1]:
            yield block
            block = ([], [])
        elif sources and (sizes[0] <= sizes[1] or not targets):
            block[0].append(sources.pop(0))
        else:
            block[1].append(targets.pop(0))
    yield block


def _passed(
    call: ChannelCall, sources: Sequence[int], targets: Sequence[int]
) -> Iterator[tuple[int, Labels | None]]:
    """Yields what becomes of the channels of one part of the shape."""
    known = [(axis, labels) for axis in sources if (labels := call.inputs[0][axis]) is not None]
    wide = [axis for axis in targets if call.results[0][axis] != 1]
    if len(known) > 1:
        raise Barrier("it merges two axes of channels")
    if not known:
        return
    if not wide:
        call.fix((known[0][1],), "there is one of them")
        return
    place, labels = known[0]
    if len(sources) == 1 and len(wide) == 1:
        yield wide[0], labels
        return
    sizes = [call.shapes[0][axis] or 1 for axis in sources]
    along = [len(labels) if axis == place else 1 for axis in sources]
    grid = np.broadcast_to(labels.reshape(along), sizes).reshape(
        [call.results[0][axis] or 1 for axis in wide]
    )
    part = _constant_but_along(grid)
    if part is None:
        part = max(range(len(wide)), key=lambda index: (grid.shape[index], index))
    rows = np.moveaxis(grid, part, -1).reshape(-1, grid.shape[part])
    call.positions.unite(rows, rows[:1])
    yield wide[part], np.ascontiguousarray(rows[0])


def _constant_but_along(grid: Labels) -> int | None:
    """Returns the axis along which alone positions differ, if there is one."""
    for place in range(grid.ndim):
        rows = np.moveaxis(grid, place, -1).reshape(-1, grid.shape[place])
        if (rows == rows[:1]).all():
            return place
    return None


def _target(
    config: dict[str, Any], axes: Sequence[Labels | None], after: Sequence[int | None], kept: Kept
) -> dict[str, Any]:
    """Returns the option that holds the new shape, which a layer gives without the batch."""
    option = "target_shape" if "target_shape" in config else "newshape"
    given = list(config[option])
    offset = len(after) - len(given)
    for index, size in enumerate(given):
        labels = axes[index + offset]
        if labels is not None and size != -1:
            given[index] = kept.count(labels)
    return {option: tuple(given)}


@rule("Permute", "Transpose", "Swapaxes", "Moveaxis")
def transpose(call: ChannelCall) -> Sequence[Axes]:
    """Orders axes otherwise."""
    rank = len(call.inputs[0])
    order = _ORDERS[type(call.layer).__name__](call.layer, list(range(rank)))
    return [tuple(call.inputs[0][axis] for axis in order)]


def _swapped(layer: Any, order: list[int]) -> list[int]:
    order[layer.axis1], order[layer.axis2] = order[layer.axis2], order[layer.axis1]
    return order


def _moved(layer: Any, order: list[int]) -> list[int]:
    """Returns what `numpy.moveaxis` makes of an array whose axes have different sizes."""
    moved = np.moveaxis(np.empty([axis + 1 for axis in order]), layer.source, layer.destination)
    return [size - 1 for size in moved.shape]


_ORDERS = {
    "Permute": lambda layer, _: [0, *layer.dims],
    "Transpose": lambda layer, order: list(layer.axes) if layer.axes is not None else order[::-1],
    "Swapaxes": _swapped,
    "Moveaxis": _moved,
}


@rule("ExpandDims", "Squeeze")
def of_size_one(call: ChannelCall) -> Sequence[Axes]:
    """Adds or takes away axes of size 1: the others keep their order."""
    pairs = list(zip(call.inputs[0], call.shapes[0], strict=True))
    call.fix(tuple(labels for labels, size in pairs if size == 1), "there is one of them")
    wide = [labels for labels, size in pairs if size != 1]
    rest = iter(wide)
    return [tuple(None if size == 1 else next(rest) for size in call.results[0])]


@rule("RepeatVector")
def repeat_vector(call: ChannelCall) -> Sequence[Axes]:
    """Puts an axis before that of the channels."""
    return [(call.inputs[0][0], None, call.inputs[0][1])]


@rule("Repeat", "Tile", "BroadcastTo")
def repeat(call: ChannelCall) -> Sequence[Axes]:
    """Repeats numbers along axes that keep their size, or that channels cannot be followed along."""
    offset = len(call.results[0]) - len(call.inputs[0])
    axes: list[Labels | None] = [None] * len(call.results[0])
    for axis, labels in enumerate(call.inputs[0]):
        if offset >= 0 and call.shapes[0][axis] == call.results[0][axis + offset]:
            axes[axis + offset] = labels
        else:
            call.fix((labels,), "it repeats channels")
    if type(call.layer).__name__ == "BroadcastTo":
        call.fix(tuple(axes), "its config says their number")
        return [(None,) * len(axes)]
    return [tuple(axes)]


@rule("DepthToSpace", "SpaceToDepth")
def block_wise(call: ChannelCall) -> Sequence[Axes]:
    """Moves channels into the plane, or pixels into channels: one of them has a place in each square."""
    if call.layer.data_format == "channels_first":
        raise Barrier("its channels are not the last axis")
    labels = call.channels(-1)
    squares = call.layer.block_size**2
    if labels is None:
        return [(None,) * 4]
    if type(call.layer).__name__ == "SpaceToDepth":
        return [(None, None, None, np.tile(labels, squares))]
    members = labels.reshape(squares, -1)
    call.positions.unite(members, members[:1])
    return [(None, None, None, np.ascontiguousarray(members[0]))]
