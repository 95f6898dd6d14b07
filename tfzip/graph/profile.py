"""What a model will cost as a file, before it is one: parameters, MACs, bytes, peak memory of activations."""

from dataclasses import dataclass, replace
from math import prod

import keras

from tfzip.errors import ModelError, OptionError
from tfzip.graph.arena import Buffer, plan
from tfzip.graph.flat_graph import FlatGraph, FlatNode
from tfzip.graph.flatten import flatten
from tfzip.graph.lowering import Lowering
from tfzip.graph.macs import count_macs
from tfzip.schemes import Scheme, get_scheme

_SMALLEST_QUANTIZED = 1024  # elements; the converter leaves smaller kernels in float with dynamic ranges


@dataclass(frozen=True)
class LayerProfile:
    """The cost of one layer or operation, over all of its calls.

    Attributes:
        path: As in `flatten`.
        kind: Class name.
        output_shape: Of the first call and its first result, batch included.
        parameters: Numbers held, trainable or not. A shared layer counts once.
        macs: Multiply-accumulates; `None` where no rule knows the layer.
        weight_bytes: Bytes of the weights in the file, after folding batch normalization.
        activation_bytes: Bytes of the tensors it writes; 0 where it is folded into its neighbour.
    """

    path: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int | None
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class ModelProfile:
    """The cost of a model under a scheme.

    Attributes:
        name: Of the model.
        scheme: Name of the scheme.
        batch: Examples in one run.
        layers: In the order of execution.
        peak_activation_bytes: Size of LiteRT's arena: inputs, outputs and what lives between, without scratch
            memory of kernels.
        peak_path: The layer during which most bytes are alive.
    """

    name: str
    scheme: str
    batch: int
    layers: tuple[LayerProfile, ...]
    peak_activation_bytes: int
    peak_path: str

    @property
    def parameters(self) -> int:
        """Numbers held by all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers that a rule knows; see `uncounted`."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights in the file."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Paths of layers whose MACs no rule knows."""
        return tuple(layer.path for layer in self.layers if layer.macs is None)


def profile(model: keras.Model, scheme: str | Scheme = "float32", *, batch: int = 1) -> ModelProfile:
    """Returns what a model costs on LiteRT, layer by layer, without converting it.

    Args:
        model: A built model whose sizes are all fixed but the batch.
        scheme: Number formats. Defaults to `"float32"`.
        batch: Examples in one run. Defaults to 1.

    Returns:
        The profile. Peak memory is that of LiteRT's own planner on the tensors it keeps: exact on networks of
        convolutions, dense layers, additions and concatenations, an estimate where a layer becomes many
        operations (attention, recurrent layers, group normalization).

    Raises:
        ModelError: The model is not built, or a size is not fixed.
        OptionError: `batch` is below 1.
        UnknownNameError: The scheme is unknown.
    """
    chosen = get_scheme(scheme)
    if batch < 1:
        raise OptionError(f"batch must be at least 1. Received: {batch}.")
    graph = flatten(model, batch=batch)
    _check_sizes(graph)
    lowering = Lowering(graph, _bytes_of(chosen))
    buffers = lowering.buffers()
    peak = plan(buffers)
    rows: dict[str, LayerProfile] = {}
    for index, node in enumerate(graph.nodes):
        row = _row(graph, lowering, index, chosen)
        rows[node.path] = _merged(rows[node.path], row) if node.path in rows else row
    return ModelProfile(
        graph.name, chosen.name, batch, tuple(rows.values()), peak, _busiest(lowering, buffers)
    )


def _row(graph: FlatGraph, lowering: Lowering, index: int, scheme: Scheme) -> LayerProfile:
    node = graph.nodes[index]
    shapes = (
        [graph.tensors[tensor].sizes for tensor in node.inputs],
        [graph.tensors[tensor].sizes for tensor in node.outputs],
    )
    return LayerProfile(
        path=node.path,
        kind=type(node.operation).__name__,
        output_shape=shapes[1][0],
        parameters=sum(prod(weight.shape) for weight in _weights(node)),
        macs=count_macs(node.operation, *shapes),
        weight_bytes=_weight_bytes(graph, lowering, index, scheme),
        activation_bytes=sum(
            operation.writes.size_bytes
            for operation, owner in zip(lowering.operations, lowering.node_of, strict=True)
            if owner == index
        ),
    )


def _merged(first: LayerProfile, again: LayerProfile) -> LayerProfile:
    macs = None if first.macs is None or again.macs is None else first.macs + again.macs
    return replace(first, macs=macs, activation_bytes=first.activation_bytes + again.activation_bytes)


def _weights(node: FlatNode) -> list[keras.Variable]:
    return list(node.operation.weights) if isinstance(node.operation, keras.Layer) else []


def _weight_bytes(graph: FlatGraph, lowering: Lowering, index: int, scheme: Scheme) -> int:
    node = graph.nodes[index]
    if isinstance(node.operation, keras.layers.BatchNormalization):
        channels = int(node.operation.moving_mean.shape[0])
        if index not in lowering.folded:
            return 2 * channels * _vector_bytes(scheme)
        before = next(other for other in graph.nodes if node.inputs[0] in other.outputs)
        return 0 if getattr(before.operation, "use_bias", True) else channels * _vector_bytes(scheme)
    return sum(_stored_bytes(tuple(weight.shape), scheme) for weight in _weights(node))


def _stored_bytes(shape: tuple[int, ...], scheme: Scheme) -> int:
    size = prod(shape)
    if len(shape) < 2:
        return size * _vector_bytes(scheme)
    is_dynamic = scheme.weights.kind == "int" and scheme.activations.kind == "float"
    bits = 32 if is_dynamic and size < _SMALLEST_QUANTIZED else scheme.weights.bits
    return size * bits // 8


def _vector_bytes(scheme: Scheme) -> int:
    """Returns the bytes of one bias: accumulator width where activations are integers, else a float."""
    if scheme.activations.kind == "int":
        return 8 if scheme.activations.bits == 16 else 4
    return scheme.weights.bits // 8 if scheme.weights.kind == "float" else 4


def _bytes_of(scheme: Scheme) -> dict[str, int]:
    number = scheme.activations.bits // 8
    floats = dict.fromkeys(("float16", "bfloat16", "float32", "float64"), number)
    return floats | {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8}


def _check_sizes(graph: FlatGraph) -> None:
    for ref in keras.tree.flatten(graph.inputs):
        spec = graph.tensors[ref.id]
        if None in spec.shape:
            raise ModelError(
                f"A profile needs fixed sizes. Received: input {spec.name!r} of model {graph.name!r}"
                f" with shape {spec.shape}. Rebuild the model with a keras.Input that names every size."
            )


def _busiest(lowering: Lowering, buffers: list[Buffer]) -> str:
    """Returns the path of the node during which most bytes are alive."""
    times = range(len(lowering.operations))
    alive = [sum(b.size_bytes for b in buffers if b.first <= time <= b.last) for time in times]
    if not alive:
        return lowering.graph.name
    return lowering.graph.nodes[lowering.node_of[alive.index(max(alive))]].path
