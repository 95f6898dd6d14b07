"""Pooling, padding, cropping, upsampling: the same for each channel."""

from collections.abc import Sequence

from tfzip.graph.channel_trace import Axes, ChannelCall
from tfzip.graph.rules import rule
from tfzip.graph.rules.convolution import channel_axis

_KINDS = ("MaxPooling", "AveragePooling", "AdaptiveMaxPooling", "AdaptiveAveragePooling")
_LAYERS = (
    *(f"{kind}{n}D" for kind in (*_KINDS, "ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3)),
    *("MaxPool", "AveragePool", "Resizing", "Resize"),
)
_GLOBAL = (f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3))


@rule(*_LAYERS)
def window(call: ChannelCall) -> Sequence[Axes]:
    """Moves a window over the other axes."""
    axis = channel_axis(call)
    labels = call.channels(axis)
    return [tuple(labels if index == axis else None for index in range(len(call.results[0])))]


@rule(*_GLOBAL)
def over_all(call: ChannelCall) -> Sequence[Axes]:
    """Leaves one number of each channel."""
    labels = call.channels(channel_axis(call))
    axis = channel_axis(call) if call.layer.keepdims else 1
    return [tuple(labels if index == axis else None for index in range(len(call.results[0])))]
