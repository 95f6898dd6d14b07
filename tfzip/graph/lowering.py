"""From Keras calls to the tensors that LiteRT keeps between its operations.

The converter folds batch normalization, simple activations and padding into a neighbour, reshapes cost
nothing, and other layers become several operations. `Lowering` applies this in order of execution.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras

from tfzip.graph.arena import Buffer
from tfzip.graph.channelwise import Channelwise, channelwise
from tfzip.graph.flat_graph import FlatGraph, FlatNode
from tfzip.graph.litert_steps import Step, inner_sizes, steps_of_activation, steps_of_layer
from tfzip.graph.padding import is_same_padding

_FREE = {
    *("ActivityRegularization", "AlphaDropout", "Cast", "ConvertToTensor", "Dropout", "GaussianDropout"),
    *("GaussianNoise", "Identity", "Masking", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    "StopGradient",
}
_RESHAPES = {"ExpandDims", "Flatten", "Reshape", "Squeeze"}
_AFFINE = {
    *("Conv1D", "Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "EinsumDense"),
    *("SeparableConv1D", "SeparableConv2D"),
}
_SCALED = "an operation with a kernel that constants were folded into"
_ARITHMETIC = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide"}
_SCALE_AND_SHIFT = {"BatchNormalization", "Normalization", "Rescaling"}
_FOLDED_ACTIVATIONS = {"relu", "relu6"}
_TAKE_CONSTANTS = _AFFINE - {"EinsumDense"} | {_SCALED}
_TAKE_ACTIVATIONS = _AFFINE | _ARITHMETIC | {_SCALED, "AveragePooling2D", "MaxPooling2D"}


@dataclass
class Operation:
    """One operation of LiteRT: the buffers it reads, the one it writes, and whether they may be the same."""

    reads: list[Buffer]
    writes: Buffer
    in_place: bool


@dataclass
class Lowering:
    """The run of a flat graph in LiteRT, operation by operation.

    Attributes:
        graph: The graph, with all sizes known.
        bytes_of: Bytes of one number by Keras dtype.
        operations: In order of execution.
        node_of: For each operation, the index of the node it belongs to.
        folded: Indices of nodes that became part of another operation.
        constants: For a folded product or sum with a constant, what it does.
        twins: For a folded activation, the nodes that compute the same from the same tensor: one operation.
    """

    graph: FlatGraph
    bytes_of: dict[str, int]
    operations: list[Operation] = field(default_factory=list)
    node_of: list[int] = field(default_factory=list)
    folded: set[int] = field(default_factory=set)
    constants: dict[int, Channelwise] = field(default_factory=dict)
    twins: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._at: dict[int, Buffer] = {}
        self._maker: dict[int, str] = {}
        self._passed_on: set[int] = set()
        formats = {getattr(node.operation, "data_format", "channels_last") for node in self.graph.nodes}
        self._channels_last = formats == {"channels_last"}
        readers, returned = self.graph.consumers(), set(self.graph.output_ids())
        self._only_reader = {
            tensor: nodes[0]
            for tensor, nodes in readers.items()
            if tensor not in returned and self._are_one(nodes)
        }
        self._twin_of = {
            twin: first for tensor, first in self._only_reader.items() for twin in readers[tensor][1:]
        }
        self._inputs = [Buffer(self._size(tensor), -1, -1) for tensor in self.graph.input_ids()]
        self._at |= dict(zip(self.graph.input_ids(), self._inputs, strict=True))
        for index, node in enumerate(self.graph.nodes):
            self._lower(index, node)
            self.node_of += [index] * (len(self.operations) - len(self.node_of))

    def buffers(self) -> list[Buffer]:
        """Returns the memory the run needs, with lifetimes in numbers of operations.

        Inputs keep theirs to the end. Additions, multiplications and softmax write over an input that nothing
        else reads, unless that is a model's input or the result is a model's output.
        """
        outputs = [self._at[tensor] for tensor in self.graph.output_ids()]
        kept = {id(buffer) for buffer in (*self._inputs, *outputs)}
        readings = Counter(id(buffer) for operation in self.operations for buffer in operation.reads)
        root: dict[int, Buffer] = {}
        found = list(self._inputs)
        for time, operation in enumerate(self.operations):
            for buffer in operation.reads:
                root.get(id(buffer), buffer).last = time
            shared = [
                buffer
                for buffer in operation.reads
                if operation.in_place
                and id(operation.writes) not in kept
                and id(buffer) not in kept
                and readings[id(buffer)] == 1
                and buffer.size_bytes == operation.writes.size_bytes
            ]
            if shared:
                root[id(operation.writes)] = root.get(id(shared[0]), shared[0])
            else:
                operation.writes.first = operation.writes.last = time
                found.append(operation.writes)
        for buffer in (*self._inputs, *outputs):
            root.get(id(buffer), buffer).last = len(self.operations)
        return found

    def folded_after(self, index: int) -> list[int]:
        """Returns the nodes that became part of the operation of node `index`, in order."""
        found: list[int] = []
        while True:
            reader = self._only_reader.get(self.graph.nodes[index].outputs[0])
            if (
                reader not in self.folded
                or type(self.graph.nodes[reader].operation).__name__ == "ZeroPadding2D"
            ):
                return found
            index = reader
            found.append(index)

    def _are_one(self, nodes: Sequence[int]) -> bool:
        """Whether nodes that read one tensor are one operation: the converter merges equal activations."""
        names = {activation_of(self.graph.nodes[index]) for index in nodes}
        return len(nodes) == 1 or (len(names) == 1 and names <= _FOLDED_ACTIVATIONS)

    def _lower(self, index: int, node: FlatNode) -> None:
        kind = type(node.operation).__name__
        source = node.inputs[0] if node.inputs else None
        first = self._twin_of.get(index)
        if first in self.folded:
            self.folded.add(index)
            self.twins.setdefault(first, []).append(index)
            self._alias(node, self.graph.nodes[first].outputs[0], "")
        elif source is None:
            self._emit_node(node, kind)
        elif kind in _FREE or (kind in _RESHAPES and source not in self.graph.input_ids()):
            self._alias(node, source, self._maker.get(source, ""))
            self._passed_on.add(node.outputs[0])
        elif self._is_folded(index, node, source):
            self.folded.add(index)
            self._alias(node, source, self._maker_after(index, source))
        else:
            self._emit_node(node, kind)

    def _is_folded(self, index: int, node: FlatNode, source: int) -> bool:
        kind = type(node.operation).__name__
        if kind == "ZeroPadding2D":
            reader = self._only_reader.get(node.outputs[0])
            shape = self.graph.tensors[source].shape
            return reader is not None and is_same_padding(
                node.operation, self.graph.nodes[reader].operation, shape
            )
        if self._only_reader.get(source) != index:
            return False
        maker = self._maker.get(source, "")
        is_next = source not in self._passed_on
        if kind == "BatchNormalization":
            return is_next and maker in _AFFINE
        if is_next and maker in _TAKE_CONSTANTS and self._channels_last:
            constant = channelwise(node, self.graph.tensors[source].sizes)
            if constant is not None:
                self.constants[index] = constant
                return True
        return activation_of(node) in _FOLDED_ACTIVATIONS and maker in _TAKE_ACTIVATIONS

    def _maker_after(self, index: int, source: int) -> str:
        """Returns what kind of operation a folded node leaves: what more can be folded depends on it."""
        if activation_of(self.graph.nodes[index]):
            return ""
        return _SCALED if index in self.constants else self._maker.get(source, "")

    def _alias(self, node: FlatNode, source: int, maker: str) -> None:
        self._at[node.outputs[0]] = self._at[source]
        self._maker[node.outputs[0]] = maker

    def _emit_node(self, node: FlatNode, kind: str) -> None:
        reads = [self._at[tensor] for tensor in node.inputs]
        size = self._size(node.outputs[0])
        name = activation_of(node)
        if name:
            self._at[node.outputs[0]] = self._run(steps_of_activation(name), reads, size)
            return
        for tensor in node.outputs[1:]:
            self._at[tensor] = self._emit(reads, self._size(tensor))
        steps = steps_of_layer(node.operation, len(reads))
        if steps:
            result = self._run(steps, reads, size, self._inner_sizes(node))
        else:
            result = self._emit(reads, size, kind in _ARITHMETIC)
        name = str(getattr(getattr(node.operation, "activation", None), "__name__", "linear"))
        is_plain = kind not in _AFFINE or name == "linear"
        if not is_plain and name not in _FOLDED_ACTIVATIONS:
            result = self._run(steps_of_activation(name), [result], size)
        self._at[node.outputs[0]] = result
        self._maker[node.outputs[0]] = ("Add" if kind in _SCALE_AND_SHIFT else kind) if is_plain else ""

    def _inner_sizes(self, node: FlatNode) -> Mapping[str, float]:
        shapes = [self.graph.tensors[tensor].sizes for tensor in node.inputs]
        return inner_sizes(node.operation, shapes, self.graph.tensors[node.outputs[0]].sizes)

    def _run(
        self,
        steps: Sequence[Step],
        reads: Sequence[Buffer],
        size: int,
        multiples: Mapping[str, float] | None = None,
    ) -> Buffer:
        values = list(reads)
        for step in steps:
            inner = round(size * (multiples or {}).get(step.size, 1.0))
            values.append(self._emit([values[index] for index in step.reads], inner, step.in_place))
        return values[-1]

    def _emit(self, reads: Sequence[Buffer], size: int, in_place: bool = False) -> Buffer:
        self.operations.append(Operation(list(reads), Buffer(size, 0, 0), in_place))
        return self.operations[-1].writes

    def _size(self, tensor: int) -> int:
        spec = self.graph.tensors[tensor]
        return prod(spec.sizes) * self.bytes_of.get(spec.dtype, 4)


def activation_of(node: FlatNode) -> str:
    """Returns the name of the activation that a node is, or nothing."""
    operation: Any = node.operation
    if isinstance(operation, keras.layers.Activation):
        return str(getattr(operation.activation, "__name__", "custom"))
    if isinstance(operation, keras.layers.ReLU):
        is_plain = not operation.negative_slope and not operation.threshold
        return {None: "relu", 6: "relu6"}.get(operation.max_value, "clipped") if is_plain else "leaky_relu"
    return _OPS.get(type(operation).__name__, "")


_OPS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Silu": "silu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Softmax": "softmax",
}
