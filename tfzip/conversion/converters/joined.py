"""Operations that LiteRT computes on integers and TensorFlow's quantizer leaves in float."""

from copy import deepcopy
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tfzip.conversion.converters.file_model import FileModel

_DATA = {"ELU": 0, "SPLIT": 1}
"""By operation: which of its inputs holds the numbers."""


def join_islands(model: FileModel) -> None:
    """Lets them read and write the 8-bit integers on both sides, in place, without the conversions between.

    ELU becomes a table of 256 results. A SPLIT stays in float where one of its results is never read, as in
    the first step of an LSTM, whose forget gate multiplies zeros; it can move the integers as well.
    """
    for graph in model.tree.subgraphs:
        for operator in [op for op in graph.operators or () if model.name_of(op) in _DATA]:
            _join(model, graph, operator)


def _join(model: FileModel, graph: Any, operator: Any) -> None:
    place = _DATA[model.name_of(operator)]
    source = operator.inputs[place]
    makers = [op for op in graph.operators if source in op.outputs]
    readers = [_readers(graph, result) for result in operator.outputs]
    names = {model.name_of(op) for ops in readers for op in ops}
    if [model.name_of(op) for op in makers] != ["DEQUANTIZE"] or names != {"QUANTIZE"}:
        return
    inside = graph.tensors[makers[0].inputs[0]]
    outside = [graph.tensors[op.outputs[0]] for ops in readers for op in ops]
    is_split = len(operator.outputs) > 1
    if (
        any(tensor.type != schema.TensorType.INT8 for tensor in (inside, *outside))
        or any(len(ops) > 1 for ops in readers)
        or set(operator.outputs) & set(graph.outputs)
        or (is_split and not all(_same_grid(inside, tensor) for tensor in outside))
    ):
        return
    operator.inputs[place] = makers[0].inputs[0]
    for number, ops in enumerate(readers):
        if ops:
            operator.outputs[number] = ops[0].outputs[0]
            graph.operators.remove(ops[0])
        else:
            unread = graph.tensors[operator.outputs[number]]
            unread.type, unread.quantization = inside.type, deepcopy(inside.quantization)
    if not _readers(graph, source) and source not in graph.outputs:
        graph.operators.remove(makers[0])


def _readers(graph: Any, index: int) -> list[Any]:
    return [op for op in graph.operators if index in op.inputs]


def _same_grid(one: Any, other: Any) -> bool:
    first, second = one.quantization, other.quantization
    return np.array_equal(first.scale, second.scale) and np.array_equal(first.zeroPoint, second.zeroPoint)
