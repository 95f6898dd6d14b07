"""Attention and what it is made of: products with kernels of several axes, and products of activations."""

from typing import Any

from keras import ops

from tfzip.graph.flat_graph import FlatNode
from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.contracts.fixed import PROBABILITY
from tfzip.quantization.emitters import Kernel, Value
from tfzip.quantization.weighted import WeightGroup

_SERIES = 3


def _is_plain(node: FlatNode) -> bool:
    """Whether no mask, dropout or returned score makes it another sequence of operations."""
    config = node.operation.get_config()
    has_mask = len(node.outputs) > 1 or any("mask" in name and value for name, value in node.kwargs.items())
    return not has_mask and not config.get("dropout") and config.get("score_mode", "dot") == "dot"


def _attends_to_series(node: FlatNode) -> bool:
    layer = node.operation
    return (
        _is_plain(node)
        and len(node.inputs) in (2, 3)
        and tuple(layer.get_config().get("attention_axes") or (1,)) == (1,)
        and all(
            _axes(one) for one in (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
        )
        and len(layer.query_dense.equation.split(",")[0]) == _SERIES
    )


@contract("MultiHeadAttention", where=_attends_to_series)
def multi_head_attention(call: Call) -> Value:
    """Three projections, scores, their scale, softmax, the mean of values, and a projection."""
    layer, emitter = call.layer, call.emitter
    query, value = call.inputs[:2]
    key = call.inputs[2] if len(call.inputs) > 2 else value
    queries = call.emit("query", _projected(call, "query", layer.query_dense, query))
    keys = call.emit("key", _projected(call, "key", layer.key_dense, key))
    values = call.emit("value", _projected(call, "value", layer.value_dense, value))
    scores = call.emit("scores", ops.einsum("bthk,bshk->bhts", queries.tensor, keys.tensor))
    scale = emitter.constant(ops.cast(layer.key_dim**-0.5, scores.tensor.dtype))
    scaled = call.emit("scaled", emitter.multiply(call.part_key("scaled"), scores, scale))
    weights = call.emit("softmax", ops.softmax(scaled.tensor), PROBABILITY)
    context = call.emit("context", ops.einsum("bhts,bshk->bthk", weights.tensor, values.tensor))
    return call.result(_projected(call, "output", layer.output_dense, context))


@contract("Attention", where=_is_plain)
def attention(call: Call) -> Value:
    """Scores, their learned scale, softmax, and the mean of values."""
    layer, emitter = call.layer, call.emitter
    query, value = call.inputs[:2]
    key = call.inputs[2] if len(call.inputs) > 2 else value
    scores = call.emit("scores", ops.einsum("btk,bsk->bts", query.tensor, key.tensor))
    if layer.use_scale:
        scale = emitter.constant(ops.cast(full_precision(layer.scale), "float32"))
        scores = call.emit("scaled", emitter.multiply(call.part_key("scaled"), scores, scale))
    weights = call.emit("softmax", ops.softmax(scores.tensor), PROBABILITY)
    return call.result(ops.einsum("bts,bsk->btk", weights.tensor, value.tensor))


@contract("Dot", where=lambda node: not node.operation.normalize)
def dot(call: Call) -> Value:
    """One product of two activations."""
    return call.result(call.run())


def _projected(call: Call, part: str, dense: Any, source: Value) -> Any:
    """Returns the result of an `EinsumDense`, which is a fully connected layer in the file."""
    axes = _axes(dense)
    group = WeightGroup(f"{call.path}/{part}/kernel", call.node.path, dense, dense.kernel, axes, None, ())
    sizes = [dense.kernel.shape[axis] for axis in axes]
    bias = None if dense.bias is None else ops.reshape(ops.cast(full_precision(dense.bias), "float32"), [-1])

    def align(values: Any) -> Any:
        return ops.reshape(values, sizes) if len(values.shape) else values

    def apply(tensor: Any, kernel: Any) -> Any:
        return ops.einsum(dense.equation, tensor, kernel)

    kernel = ops.cast(full_precision(dense.kernel), "float32")
    return call.emitter.linear(source, Kernel(group, kernel, bias, align), apply)


def _axes(dense: Any) -> tuple[int, ...]:
    """Returns the kernel's axes that count output channels, nothing where it is no fully connected layer."""
    inputs, _, rest = dense.equation.partition(",")
    kernel, _, outputs = rest.partition("->")
    channels = [letter for letter in kernel if letter not in inputs]
    is_dense = outputs.endswith("".join(channels)) and not any(c in inputs and c in outputs for c in kernel)
    return tuple(kernel.index(letter) - len(kernel) for letter in channels) if is_dense else ()
