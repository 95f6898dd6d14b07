"""Normalization by the batch, by the row, by groups of channels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule


def _one_axis(call: ChannelCall) -> int:
    """Returns the axis a layer works along."""
    axis = call.layer.axis
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    if len(axes) > 1:
        raise Barrier("it works along several axes")
    return int(axes[0]) % len(call.inputs[0])


@rule("BatchNormalization")
def by_the_batch(call: ChannelCall) -> Sequence[Axes]:
    """Treats each channel alone."""
    labels = call.inputs[0][_one_axis(call)]
    for variable in call.layer.variables:
        call.bind(variable, 0, labels)
    return [call.unchanged()]


@rule("LayerNormalization", "RMSNormalization")
def by_the_row(call: ChannelCall) -> Sequence[Axes]:
    """Takes statistics over the channels, in which one that is zero counts.

    A layer with fewer channels would take others. It therefore gets zeros in place of those that went, and
    what it makes of them is cut off: exact, and cheap beside the matrices around it.
    """
    axis = _one_axis(call)
    labels = call.inputs[0][axis]
    if labels is None:
        for variable in call.layer.weights:
            call.bind(variable, 0, None)
        return [call.unchanged()]
    if axis != len(call.inputs[0]) - 1:
        raise Barrier("it normalizes along an axis that is not the last")
    for variable in call.layer.weights:
        call.bind(variable, 0, labels).moves_behind = True
    call.edits.around = _with_zeros(labels)
    return [call.unchanged()]


def _with_zeros(labels: Labels) -> Callable[[Callable[..., Any], Any, Kept], Any]:
    def around(layer: Callable[..., Any], x: Any, kept: Kept) -> Any:
        count = kept.count(labels)
        if count == len(labels):
            return layer(x)
        padded = ops.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, len(labels) - count]])
        return layer(padded)[..., :count]

    return around


@rule("UnitNormalization")
def to_unit_length(call: ChannelCall) -> Sequence[Axes]:
    """Divides by a sum of squares, to which a channel that is zero adds nothing."""
    return [call.unchanged()]


@rule("GroupNormalization")
def by_groups(call: ChannelCall) -> Sequence[Axes]:
    """Groups go as a whole, since each has statistics of its own."""
    layer = call.layer
    labels = call.channels(_one_axis(call), "its statistics run over them")
    if labels is not None:
        groups = len(labels) if layer.groups == -1 else layer.groups
        members = labels.reshape(groups, -1)
        call.positions.unite(members, members[:, :1])
        if layer.groups != -1:
            call.counts("groups", np.ascontiguousarray(members[:, 0]))
    for variable in layer.weights:
        call.bind(variable, 0, labels)
    return [call.unchanged()]
