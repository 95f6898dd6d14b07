"""Follows channels through a flat graph: which positions of weights and tensors are the same channel."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfzip.graph.flat_graph import FlatGraph, FlatNode, TensorRef
from tfzip.graph.positions import Kept, Labels, Positions

Axes = tuple[Labels | None, ...]
ConfigEdit = Callable[[dict[str, Any], Kept], dict[str, Any]]
ArgumentEdit = Callable[[tuple[Any, ...], dict[str, Any], Kept], tuple[tuple[Any, ...], dict[str, Any]]]
Around = Callable[[Callable[..., Any], Any, Kept], Any]


class Barrier(Exception):  # noqa: N818 - it ends a rule and never reaches a user
    """Raised by a rule: channels cannot be followed through this call, so that they all stay."""


@dataclass
class WeightAxis:
    """An axis of a weight.

    Attributes:
        path: Of the layer.
        kind: Class name of the layer.
        name: Of the weight.
        variable: The weight.
        axis: Counted from the front.
        labels: Its positions; `None` if all of them stay.
        role: `"out"` where it makes channels, `"in"` where it reads them, `"channel"` where it does something
            to each, as scales do.
        moves_behind: Whether what is removed moves behind what stays instead of going away.
    """

    path: str
    kind: str
    name: str
    variable: Any
    axis: int
    labels: Labels | None
    role: str
    moves_behind: bool = False


@dataclass
class Edits:
    """What has to change in an operation when channels go: its config, its arguments, its call."""

    config: list[ConfigEdit] = field(default_factory=list)
    arguments: list[ArgumentEdit] = field(default_factory=list)
    around: Around | None = None


def key_of(node: FlatNode) -> int:
    """Returns what tells apart the operations of the smaller model.

    Calls of a layer share its weights. One without weights may be called on channels that have nothing to do
    with each other, so that each call has a layer of its own.
    """
    has_weights = node.is_layer and bool(node.operation.weights)
    return id(node.operation) if has_weights else id(node)


class ChannelTrace:
    """What is known after all rules have run.

    Args:
        graph: A flat graph.
        rule_of: Returns the rule for a node.

    Attributes:
        graph: The graph.
        positions: All positions.
        axes: Of every tensor, by id.
        weights: Axes of weights by `(id(variable), axis)`.
        edits: What changes in operations, see `key_of`.
        stops: Path, reason and positions of every call at which channels have to stay.
        returned: Positions of channels that the model returns.
        closed: Reason by path of every call with kernels of which no channels can go.
    """

    def __init__(self, graph: FlatGraph, rule_of: "Callable[[FlatNode], Rule]") -> None:
        self.graph = graph
        self.positions = Positions()
        self.axes: dict[int, Axes] = {}
        self.weights: dict[tuple[int, int], WeightAxis] = {}
        self.edits: dict[int, Edits] = {}  # by `key_of` their call
        self.stops: list[tuple[str, str, Labels]] = []
        self.returned: list[Labels] = []
        self.closed: dict[str, str] = {}
        for tensor in graph.input_ids():
            self.axes[tensor] = (None,) * len(graph.tensors[tensor].shape)
        for node in graph.nodes:
            self._follow(node, rule_of(node))
        for tensor in graph.output_ids():
            self.returned += [labels for labels in self.axes[tensor] if labels is not None]
        for labels in self.returned:
            self.positions.fix(labels, "the model returns them")
        for path, reason, labels in self.stops:
            self.positions.fix(labels, f"{path}: {reason}")

    def stop(self, node: FlatNode, axes: Axes, reason: str) -> None:
        """Lets all positions of some axes stay, for what a node does."""
        for labels in axes:
            if labels is not None:
                self.stops.append((node.path, reason, labels))

    def _follow(self, node: FlatNode, rule: "Rule") -> None:
        call = ChannelCall(self, node)
        try:
            results = rule(call)
        except Barrier as barrier:
            results = self._stopped(node, str(barrier))
        self.axes |= dict(zip(node.outputs, results, strict=True))

    def _stopped(self, node: FlatNode, reason: str) -> Sequence[Axes]:
        if node.is_layer and any(len(weight.shape) > 1 for weight in node.operation.weights):
            self.closed[node.path] = reason
        for tensor in node.inputs:
            self.stop(node, self.axes[tensor], reason)
        for variable in node.operation.weights if isinstance(node.operation, keras.Layer) else ():
            for axis in range(len(variable.shape)):
                known = self.weights.get((id(variable), axis))
                if known is not None:
                    self.stop(node, (known.labels,), reason)
        return [(None,) * len(self.graph.tensors[tensor].shape) for tensor in node.outputs]


class ChannelCall:
    """One call, as a rule sees it.

    Attributes:
        node: The call.
        layer: The layer or operation.
        inputs: Axes of the tensors read, in order.
        shapes: Their shapes.
        results: Shapes of the tensors made.
        positions: All positions.
    """

    def __init__(self, trace: ChannelTrace, node: FlatNode) -> None:
        tensors = trace.graph.tensors
        self.node = node
        self.layer: Any = node.operation
        self.inputs = [trace.axes[tensor] for tensor in node.inputs]
        self.shapes = [tensors[tensor].shape for tensor in node.inputs]
        self.results = [tensors[tensor].shape for tensor in node.outputs]
        self.positions = trace.positions
        self._trace = trace

    @property
    def edits(self) -> Edits:
        """What changes in the operation; calls of one layer with weights share it."""
        return self._trace.edits.setdefault(key_of(self.node), Edits())

    def channels(self, axis: int, reason: str = "it moves along them") -> Labels | None:
        """Returns the positions of one axis of the first tensor; those of its other axes stay."""
        axes = self.inputs[0]
        place = axis % len(axes)
        others = tuple(labels for index, labels in enumerate(axes) if index != place)
        self.fix(others, reason)
        return axes[place]

    def fix(self, axes: Axes, reason: str) -> None:
        """Lets all positions of some axes stay."""
        self._trace.stop(self.node, axes, reason)

    def bind(self, variable: Any, axis: int, labels: Labels | None, role: str = "channel") -> WeightAxis:
        """Makes an axis of a weight the same as an axis that is known.

        A weight that was bound before, since its layer is called again, makes both the same.
        """
        axis %= len(variable.shape)
        key = id(variable), axis
        known = self._trace.weights.get(key)
        if known is None:
            name = variable.path.rpartition(f"{self.layer.name}/")[2]
            kind = type(self.layer).__name__
            known = WeightAxis(self.node.path, kind, name, variable, axis, labels, role)
            self._trace.weights[key] = known
        elif known.labels is None or labels is None:
            self.fix((known.labels, labels), "its weights are used where channels have to stay, too")
        else:
            self.positions.unite(known.labels, labels)
        return known

    def made(self, variable: Any, axis: int) -> Labels:
        """Returns the channels that an axis of a weight makes; if it was bound before, those of then."""
        axis %= len(variable.shape)
        known = self._trace.weights.get((id(variable), axis))
        if known is not None and known.labels is not None:
            return known.labels
        labels = self.positions.fresh(int(variable.shape[axis]))
        self.bind(variable, axis, labels, "out")
        return labels

    def counts(self, option: str, labels: Labels | None) -> None:
        """Notes that an option of the layer's config is the number of some positions."""
        if labels is not None:
            self.edits.config.append(lambda config, kept: config | {option: kept.count(labels)})

    def argument(self, name: str) -> Any:
        """Returns an argument of the call by its name, `None` if it was not given."""
        signature = inspect.signature(type(self.layer).call)
        bound = signature.bind_partial(self.layer, *self.node.args, **self.node.kwargs)
        return bound.arguments.get(name)

    def axes_of(self, argument: Any) -> Axes:
        """Returns the axes of a tensor argument."""
        return self._trace.axes[argument.id] if isinstance(argument, TensorRef) else ()

    def shape_of(self, argument: Any) -> tuple[int | None, ...]:
        """Returns the shape of a tensor argument."""
        return self._trace.graph.tensors[argument.id].shape if isinstance(argument, TensorRef) else ()

    def stated(self, axis: Labels | None, size: int | None) -> Labels:
        """Returns the positions of an axis, new ones that stay where nothing is known of it."""
        if axis is not None:
            return axis
        if size is None:
            raise Barrier("it joins channels with an axis whose size is not fixed")
        labels = self.positions.fresh(size)
        self.positions.fix(labels, f"{self.node.path}: it joins them with channels that stay")
        return labels

    def unchanged(self) -> Axes:
        """Returns the axes of the first input."""
        return self.inputs[0]


Rule = Callable[[ChannelCall], Sequence[Axes]]


def repeated(labels: Labels | None, times: int) -> Labels | None:
    """Returns positions of which each stands `times` times side by side."""
    return None if labels is None else np.repeat(labels, times)


def tiled(labels: Labels | None, times: int) -> Labels | None:
    """Returns positions that stand there `times` times one after the other."""
    return None if labels is None else np.tile(labels, times)
