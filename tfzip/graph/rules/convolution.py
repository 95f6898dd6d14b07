"""Convolutions: plain, grouped, depthwise, separable and transposed, in one to three dimensions."""

from collections.abc import Sequence

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.positions import Labels
from tfzip.graph.rules import rule
from tfzip.graph.rules.activations import activated


def channel_axis(call: ChannelCall) -> int:
    """Returns the axis of the channels of a layer's input."""
    is_first = getattr(call.layer, "data_format", "channels_last") == "channels_first"
    return 1 if is_first else len(call.shapes[0]) - 1


def _result(call: ChannelCall, labels: Labels | None) -> Sequence[Axes]:
    """Binds the bias, and returns the axes of a result with these channels."""
    if call.layer.bias is not None:
        call.bind(call.layer.bias, 0, labels)
    activated(call, labels, call.layer.activation)
    axis = channel_axis(call)
    return [tuple(labels if index == axis else None for index in range(len(call.results[0])))]


@rule("Conv1D", "Conv2D", "Conv3D")
def convolution(call: ChannelCall) -> Sequence[Axes]:
    """Reads all channels for each that it makes, or only those of its group."""
    source = call.channels(channel_axis(call))
    if call.layer.groups > 1:
        return _grouped(call, source)
    call.bind(call.layer.kernel, -2, source, "in")
    made = call.made(call.layer.kernel, -1)
    call.counts("filters", made)
    return _result(call, made)


def _grouped(call: ChannelCall, source: Labels | None) -> Sequence[Axes]:
    """Groups go as a whole, what they read and what they make: those left stay as wide as they are."""
    layer = call.layer
    if source is None:
        raise Barrier("its groups read channels that stay")
    call.bind(layer.kernel, -2, None, "in")
    members = source.reshape(layer.groups, -1)
    group = members[:, 0]
    call.positions.unite(members, group[:, None])
    made = group.repeat(layer.filters // layer.groups)
    call.bind(layer.kernel, -1, made, "out")
    call.counts("groups", group)
    call.counts("filters", made)
    return _result(call, made)


@rule("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(call: ChannelCall) -> Sequence[Axes]:
    """Makes `depth_multiplier` channels, side by side, of each channel."""
    source = call.channels(channel_axis(call))
    call.bind(call.layer.kernel, -2, source)
    made = None if source is None else source.repeat(call.layer.depth_multiplier)
    return _result(call, made)


@rule("SeparableConv1D", "SeparableConv2D")
def separable(call: ChannelCall) -> Sequence[Axes]:
    """A depthwise convolution, then a pointwise one."""
    layer = call.layer
    source = call.channels(channel_axis(call))
    call.bind(layer.depthwise_kernel, -2, source)
    between = None if source is None else source.repeat(layer.depth_multiplier)
    call.bind(layer.pointwise_kernel, -2, between, "in")
    made = call.made(layer.pointwise_kernel, -1)
    call.counts("filters", made)
    return _result(call, made)


@rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(call: ChannelCall) -> Sequence[Axes]:
    """Its kernel has the channels it makes before those it reads."""
    source = call.channels(channel_axis(call))
    call.bind(call.layer.kernel, -1, source, "in")
    made = call.made(call.layer.kernel, -2)
    call.counts("filters", made)
    return _result(call, made)
