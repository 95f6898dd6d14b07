"""Multiply-accumulate operations of an operation in a file, from its shapes alone."""

import math
from collections.abc import Callable

from tfzip.tflite.file_graph import Operator, Subgraph

_Shapes = list[tuple[int, ...]]


def macs_of(subgraph: Subgraph, operator: Operator) -> int:
    """Returns the multiply-accumulates of one run of an operation; 0 for one that multiplies no matrices.

    Elementwise operations, pooling and activations count 0, as is usual. The body of a loop is a subgraph of
    its own and counts for one turn.
    """
    count = _COUNTERS.get(operator.name)
    if count is None:
        return 0
    inputs = [_shape(subgraph, index) for index in operator.inputs]
    outputs = [_shape(subgraph, index) for index in operator.outputs]
    if len(inputs) < 2 or not outputs or len(inputs[1]) < 2:
        return 0
    return count(inputs, math.prod(outputs[0]), operator)


def _shape(subgraph: Subgraph, index: int) -> tuple[int, ...]:
    return subgraph.tensors[index].shape if index >= 0 else ()


def _convolution(inputs: _Shapes, num_outputs: int, _: Operator) -> int:
    """Every output value sums over a kernel (out, *window, in / groups); a dense kernel has no window."""
    return num_outputs * math.prod(inputs[1][1:])


def _convolution_3d(inputs: _Shapes, num_outputs: int, _: Operator) -> int:
    """Every output value sums over a kernel (*window, in, out)."""
    return num_outputs * math.prod(inputs[1][:-1])


def _depthwise(inputs: _Shapes, num_outputs: int, _: Operator) -> int:
    """Every output value sums over a window of one channel; the kernel is (1, *window, out)."""
    return num_outputs * math.prod(inputs[1][1:-1])


def _transposed(inputs: _Shapes, _: int, __: Operator) -> int:
    """Every input value, the third operand, is spread over a kernel (out, *window, in)."""
    return math.prod(inputs[2]) * math.prod(inputs[1][:-1]) if len(inputs) > 2 else 0


def _batch_matmul(inputs: _Shapes, num_outputs: int, operator: Operator) -> int:
    """Every output value sums over the axis that both sides share."""
    return num_outputs * inputs[1][-1 if operator.options.get("AdjY") else -2]


def _recurrent(inputs: _Shapes, _: int, operator: Operator) -> int:
    """Every step and sample meets each kernel, which are the operands with two axes after the input."""
    kernels = sum(math.prod(shape) for shape in inputs[1 : _KERNELS[operator.name]] if len(shape) == 2)
    projection = sum(math.prod(shape) for shape in inputs[16:17] if len(shape) == 2)
    return math.prod(inputs[0][:-1]) * (kernels + projection)


_KERNELS = {"UNIDIRECTIONAL_SEQUENCE_LSTM": 9, "UNIDIRECTIONAL_SEQUENCE_RNN": 3}
_COUNTERS: dict[str, Callable[[_Shapes, int, Operator], int]] = {
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _convolution,
    "BATCH_MATMUL": _batch_matmul,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent,
}
