"""Number formats of activations that LiteRT has kernels for and TensorFlow's quantizer does not write."""

from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tfzip.conversion.converters.file_model import FileModel

_SIGN = 128
_WITH_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}


def fit_16_bits(model: FileModel) -> None:
    """Gives 16-bit activations zero point 0 and their operations 64-bit biases, in place.

    Kernels of 16 bits take no other. The quantizer centres their ranges and leaves a rounding error of -1.
    """
    for graph in model.tree.subgraphs:
        for tensor in graph.tensors:
            if tensor.type == schema.TensorType.INT16 and tensor.quantization is not None:
                tensor.quantization.zeroPoint = np.zeros_like(tensor.quantization.zeroPoint)
    for graph, operator in model.operators():
        place = _WITH_BIAS.get(model.name_of(operator), len(operator.inputs))
        if place < len(operator.inputs) and operator.inputs[place] >= 0:
            bias, result = graph.tensors[operator.inputs[place]], graph.tensors[operator.outputs[0]]
            values = model.values(bias)
            if result.type == schema.TensorType.INT16 and values is not None:
                bias.type = schema.TensorType.INT64
                model.set_values(bias, values.astype(np.int64))


def without_border(model: FileModel) -> None:
    """Lets the main graph take and return integers: its first QUANTIZE and last DEQUANTIZE go, in place."""
    graph = model.tree.subgraphs[0]
    replaced: dict[int, int] = {}
    for operator in list(graph.operators):
        name = model.name_of(operator)
        outside = operator.inputs[0] if name == "QUANTIZE" else operator.outputs[0]
        inside = operator.outputs[0] if name == "QUANTIZE" else operator.inputs[0]
        at_start = name == "QUANTIZE" and outside in graph.inputs and _readers(graph, outside) == 1
        at_end = name == "DEQUANTIZE" and outside in graph.outputs and _readers(graph, outside) == 0
        if at_start or at_end:
            graph.operators.remove(operator)
            replaced[int(outside)] = int(inside)
    graph.inputs = np.array([replaced.get(i, i) for i in graph.inputs], np.int32)
    graph.outputs = np.array([replaced.get(i, i) for i in graph.outputs], np.int32)
    for signature in model.tree.signatureDefs or ():
        for item in signature.inputs + signature.outputs if signature.subgraphIndex == 0 else ():
            item.tensorIndex = replaced.get(item.tensorIndex, item.tensorIndex)


def _readers(graph: Any, index: int) -> int:
    return sum(index in operator.inputs for operator in graph.operators)


def unsigned(model: FileModel) -> None:
    """Stores 8-bit integers without a sign, in place: every integer and zero point is 128 more.

    Only kernels of unsigned integers take a zero point for weights of all kinds. What a tensor stands for
    stays the same.
    """
    for graph in model.tree.subgraphs:
        for tensor in graph.tensors:
            if tensor.type == schema.TensorType.INT8 and tensor.quantization is not None:
                values = model.values(tensor)
                tensor.type = schema.TensorType.UINT8
                tensor.quantization.zeroPoint = np.asarray(tensor.quantization.zeroPoint) + _SIGN
                if values is not None:
                    model.set_values(tensor, (values.astype(np.int16) + _SIGN).astype(np.uint8))
