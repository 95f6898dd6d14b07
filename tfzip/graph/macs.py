"""How many multiply-accumulates an operation takes: one rule for each family of layers.

A multiplication with a weight or between two activations, followed by an addition, counts one. Biases,
activations, normalization and pooling count nothing, as is usual where MACs are compared.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import keras

Shape = tuple[int, ...]
Rule = Callable[[Any, list[Shape], list[Shape]], int | None]


def count_macs(operation: keras.Operation, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """Returns the multiply-accumulates of one call.

    Args:
        operation: A layer or `keras.ops` operation.
        inputs: Shapes of the tensors read, batch included, in the order of the call's arguments.
        outputs: Shapes of the tensors made.

    Returns:
        The count, or `None` for a layer that holds matrices and has no rule.
    """
    for base in operation.__class__.__mro__:  # that of what a stand-in stands for
        if base.__name__ in RULES:
            return RULES[base.__name__](operation, inputs, outputs)
    is_unknown = isinstance(operation, keras.Layer) and any(
        len(weight.shape) > 1 for weight in operation.weights
    )
    return None if is_unknown else 0


def einsum_macs(equation: str, shapes: Sequence[Shape]) -> int:
    """Returns the product of the sizes of all different letters of an einsum.

    Args:
        equation: As `keras.ops.einsum` takes it, with or without `...`.
        shapes: Shapes of its operands.
    """
    sizes: dict[str, int] = {}
    for term, shape in zip(equation.replace(" ", "").split("->")[0].split(","), shapes, strict=True):
        head, dots, tail = term.partition("...")
        spread = len(shape) - len(head) - len(tail) if dots else 0
        letters = [*head, *(f".{spread - index}" for index in range(spread)), *tail]
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values())


def _size(variable: keras.Variable) -> int:
    return prod(int(size) for size in variable.shape)


def _positions(layer: Any, shape: Shape) -> int:
    """Returns the number of places, over the batch, at which a kernel is applied: all but the channels."""
    axis = 1 if getattr(layer, "data_format", None) == "channels_first" else -1
    return prod(shape) // shape[axis]


def _kernel_at_outputs(layer: Any, _: list[Shape], outputs: list[Shape]) -> int:
    return _positions(layer, outputs[0]) * _size(layer.kernel)


def _kernel_at_inputs(layer: Any, inputs: list[Shape], _: list[Shape]) -> int:
    return _positions(layer, inputs[0]) * _size(layer.kernel)


def _separable(layer: Any, _: list[Shape], outputs: list[Shape]) -> int:
    kernels = _size(layer.depthwise_kernel) + _size(layer.pointwise_kernel)
    return _positions(layer, outputs[0]) * kernels


def _einsum_dense(layer: Any, inputs: list[Shape], _: list[Shape]) -> int:
    return einsum_macs(layer.equation, [inputs[0], tuple(layer.kernel.shape)])


def _recurrent(layer: Any, inputs: list[Shape], _: list[Shape]) -> int | None:
    batch, steps = inputs[0][:2]
    cells = getattr(layer.cell, "cells", [layer.cell])
    if not all(hasattr(cell, "recurrent_kernel") and len(cell.kernel.shape) == 2 for cell in cells):
        return None
    per_step = sum(_size(cell.kernel) + _size(cell.recurrent_kernel) for cell in cells)
    return batch * steps * per_step


def _bidirectional(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    both = [count_macs(half, inputs, outputs) for half in (layer.forward_layer, layer.backward_layer)]
    return None if None in both else sum(count or 0 for count in both)


def _time_distributed(layer: Any, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    folded = [[(shape[0] * shape[1], *shape[2:]) for shape in shapes] for shapes in (inputs[:1], outputs)]
    return count_macs(layer.layer, *folded)


def _multi_head_attention(layer: Any, inputs: list[Shape], _: list[Shape]) -> int:
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 and len(inputs[2]) == len(value) else value
    rows, columns = prod(query[1:-1]), prod(value[1:-1])
    projections = (layer.query_dense, query), (layer.key_dense, key), (layer.value_dense, value)
    projected = sum(prod(shape[:-1]) * _size(dense.kernel) for dense, shape in projections)
    heads, key_size = layer.query_dense.kernel.shape[-2:]
    value_size = layer.value_dense.kernel.shape[-1]
    attended: int = query[0] * heads * rows * columns * (key_size + value_size)
    return projected + attended + prod(query[:-1]) * _size(layer.output_dense.kernel)


def _attention(_: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    query, value = inputs[0], inputs[1]
    return query[0] * query[1] * value[1] * (query[2] + outputs[0][2])


def _matmul(_: Any, inputs: list[Shape], outputs: list[Shape]) -> int:
    return prod(outputs[0]) * inputs[0][-1]


def _einsum(operation: Any, inputs: list[Shape], _: list[Shape]) -> int:
    return einsum_macs(operation.subscripts, inputs)


RULES: dict[str, Rule] = {
    "BaseConv": _kernel_at_outputs,
    "BaseConvTranspose": _kernel_at_inputs,
    "BaseDepthwiseConv": _kernel_at_outputs,
    "BaseSeparableConv": _separable,
    "Dense": _kernel_at_outputs,
    "EinsumDense": _einsum_dense,
    "Embedding": lambda *_: 0,
    "RNN": _recurrent,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "MultiHeadAttention": _multi_head_attention,
    "Attention": _attention,
    "Matmul": _matmul,
    "Einsum": _einsum,
}
