"""Which activations can be rescaled channel by channel without changing what a model computes.

An activation may be divided by one positive number per channel if whatever reads it undoes that: kernels
multiply their input channels, and operations that are positively homogeneous, f(s x) = s f(x), pass the
numbers on. Tensors that have to share their numbers, such as the terms of a residual sum, form one set.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tfzip.graph.flat_graph import FlatGraph, FlatNode
from tfzip.graph.lowering import activation_of
from tfzip.quantization.weighted import WeightGroup

_POOLS = tuple(f"{kind}{n}D" for kind in ("AveragePooling", "MaxPooling") for n in (1, 2, 3))
_GLOBAL = tuple(f"Global{pool}" for pool in _POOLS)
_MOVES = ("Dropout", "Identity", "ZeroPadding1D", "ZeroPadding2D", "SpatialDropout1D", "SpatialDropout2D")
_PASSING = (*_POOLS, *_GLOBAL, *_MOVES, "LeakyReLU", "PReLU")
_HOMOGENEOUS = ("relu", "leaky_relu", "linear")


@dataclass
class ScalingSet:
    """Activations that share one number per channel.

    Attributes:
        makers: Operations whose output channels are divided.
        readers: Operations whose input channels are multiplied.
        pinned: Why the numbers have to be 1; empty where they are free.
    """

    makers: list[WeightGroup] = field(default_factory=list)
    readers: list[WeightGroup] = field(default_factory=list)
    pinned: str = ""


def scaling_sets(graph: FlatGraph, groups: list[WeightGroup]) -> list[ScalingSet]:
    """Returns the sets of a graph that have a kernel on either side, in order of execution."""
    return _Finder(graph, groups).run()


class _Finder:
    """Sets by tensor, joined and pinned node by node."""

    def __init__(self, graph: FlatGraph, groups: list[WeightGroup]) -> None:
        self._graph = graph
        self._of_node: dict[int, list[WeightGroup]] = {}
        for group in groups:
            self._of_node.setdefault(group.nodes[0], []).append(group)
        self._norms = Counter(id(group.norm) for group in groups if group.norm is not None)
        self._shared = {group.path for group in groups if "#" in group.key}
        self._sets: dict[int, ScalingSet] = {}
        self._order: list[ScalingSet] = []
        self._done: set[int] = set()

    def run(self) -> list[ScalingSet]:
        for tensor in self._graph.input_ids():
            self._new(tensor).pinned = "it is an input of the model"
        for index, node in enumerate(self._graph.nodes):
            if index not in self._done:
                self._visit(index, node)
        for tensor in self._graph.output_ids():
            self._pin(tensor, "it is an output of the model")
        return [found for found in self._order if found.makers and (found.readers or found.pinned)]

    def _visit(self, index: int, node: FlatNode) -> None:
        kind = type(node.operation).__name__
        if index in self._of_node:
            self._visit_kernel(index, node)
        elif kind == "Multiply" and (gated := self._gated(node)) is not None:
            self._share(node, gated)
        elif kind == "Add" and len(node.inputs) > 1 and self._same_channels(node):
            for tensor in node.inputs[1:]:
                self._join(node.inputs[0], tensor)
            self._share(node, node.inputs[0])
        elif len(node.inputs) == 1 and self._is_homogeneous(node, kind):
            self._share(node, node.inputs[0])
        else:
            reason = f"{node.path!r} ({activation_of(node) or kind}) ties its channels to absolute sizes"
            for tensor in (*node.inputs, *node.outputs):
                self._pin(tensor, reason)

    def _visit_kernel(self, index: int, node: FlatNode) -> None:
        groups = self._of_node[index]
        first, last = groups[0], groups[-1]
        self._set(node.inputs[0]).readers.append(first)
        if len(groups) > 1:
            self._order.append(ScalingSet([first], [last]))
        folded = [last.norm] if last.norm is not None else []
        end = node.outputs[0]
        for follower in last.nodes[1:]:
            if self._graph.nodes[follower].operation in folded:
                self._done.add(follower)
                end = self._graph.nodes[follower].outputs[0]
        self._new(end).makers.append(last)
        reason = self._reason_against(last)
        if reason:
            self._pin(node.inputs[0], reason)
        reason = reason or self._reason_against_result(last)
        if reason:
            self._pin(end, reason)

    def _reason_against(self, group: WeightGroup) -> str:
        if group.path in self._shared:
            return f"{group.path!r} is called more than once"
        if getattr(group.layer, "data_format", "channels_last") != "channels_last":
            return f"{group.path!r} has its channels first"
        return ""

    def _reason_against_result(self, group: WeightGroup) -> str:
        activation = str(getattr(getattr(group.layer, "activation", None), "__name__", "linear"))
        if activation not in _HOMOGENEOUS:
            return f"{group.path!r} ends in {activation}, which ties its channels to absolute sizes"
        if group.norm is not None and not group.norm.scale:
            return f"the normalization after {group.path!r} has no factor to change"
        if self._norms[id(group.norm)] > 1:
            return f"the normalization after {group.path!r} serves several layers"
        return ""

    def _is_homogeneous(self, node: FlatNode, kind: str) -> bool:
        operation: Any = node.operation
        if kind == "Flatten":
            return all(size == 1 for size in self._graph.tensors[node.inputs[0]].sizes[1:-1])
        if kind == "ReLU":
            return operation.max_value is None and not operation.threshold
        return activation_of(node) in _HOMOGENEOUS or kind in _PASSING

    def _gated(self, node: FlatNode) -> int | None:
        """Returns the free factor of a product whose other factor is pinned, as in squeeze-and-excitation."""
        free = [tensor for tensor in node.inputs if not self._set(tensor).pinned]
        is_gate = len(free) == 1 and len(node.inputs) > 1
        return free[0] if is_gate and self._channels(free[0]) == self._channels(node.outputs[0]) else None

    def _same_channels(self, node: FlatNode) -> bool:
        return len({self._channels(tensor) for tensor in (*node.inputs, *node.outputs)}) == 1

    def _channels(self, tensor: int) -> int:
        return self._graph.tensors[tensor].sizes[-1]

    def _share(self, node: FlatNode, tensor: int) -> None:
        self._sets[node.outputs[0]] = self._set(tensor)

    def _new(self, tensor: int) -> ScalingSet:
        self._sets[tensor] = ScalingSet()
        self._order.append(self._sets[tensor])
        return self._sets[tensor]

    def _set(self, tensor: int) -> ScalingSet:
        return self._sets[tensor] if tensor in self._sets else self._new(tensor)

    def _pin(self, tensor: int, reason: str) -> None:
        found = self._set(tensor)
        found.pinned = found.pinned or reason

    def _join(self, first: int, second: int) -> None:
        kept, gone = self._set(first), self._set(second)
        if kept is gone:
            return
        kept.makers += gone.makers
        kept.readers += gone.readers
        kept.pinned = kept.pinned or gone.pinned
        self._sets = {tensor: kept if found is gone else found for tensor, found in self._sets.items()}
        self._order = [found for found in self._order if found is not gone]
