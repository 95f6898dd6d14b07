"""What is left of MACs and parameters when channels go, without building the smaller model."""

from collections.abc import Callable
from math import prod
from types import SimpleNamespace
from typing import Any

import keras

from tfzip.graph.channels import Channels
from tfzip.graph.macs import count_macs
from tfzip.graph.positions import Kept


class ChannelCost:
    """Counts for any choice of channels.

    Args:
        channels: Of the model.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._labels: dict[int, dict[int, Any]] = {}
        for axis, _ in channels.weight_axes():
            if not axis.moves_behind:
                self._labels.setdefault(id(axis.variable), {})[axis.axis] = axis.labels

    def parameters(self, kept: Kept) -> int:
        """Returns the numbers that all layers hold."""
        layers = {id(node.operation): node.operation for node in self._channels.graph.nodes if node.is_layer}
        variables = {id(one): one for layer in layers.values() for one in layer.weights}
        return sum(prod(self._shape(one, kept)) for one in variables.values())

    def macs(self, kept: Kept) -> int:
        """Returns the multiply-accumulates of all calls that a rule knows."""
        total = 0
        for node in self._channels.graph.nodes:
            shapes = [
                [self._channels.sizes(one, kept) for one in side] for side in (node.inputs, node.outputs)
            ]
            total += count_macs(_narrower(node.operation, lambda one: self._shape(one, kept)), *shapes) or 0
        return total

    def _shape(self, variable: Any, kept: Kept) -> tuple[int, ...]:
        labels = self._labels.get(id(variable), {})
        sizes = enumerate(int(size) for size in variable.shape)
        return tuple(kept.count(labels[axis]) if axis in labels else size for axis, size in sizes)


class _Narrower:
    """Stands for a layer whose weights have other shapes."""

    def __init__(self, layer: Any, shape_of: Callable[[Any], tuple[int, ...]]) -> None:
        self._layer = layer
        self._shape_of = shape_of

    @property  # type: ignore[misc]  # what makes a stand-in pass for it
    def __class__(self) -> type:
        """That of the layer."""
        return type(self._layer)

    def __getattr__(self, name: str) -> Any:
        return _narrower(getattr(self._layer, name), self._shape_of)


def _narrower(value: Any, shape_of: Callable[[Any], tuple[int, ...]]) -> Any:
    if isinstance(value, keras.Variable):
        return SimpleNamespace(shape=shape_of(value))
    return _Narrower(value, shape_of) if isinstance(value, keras.Layer) else value
