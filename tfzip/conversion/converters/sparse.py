"""Stores kernels of a finished file in the sparse encoding, each unpacked by a DENSIFY operation.

It works on the file and not on the model, so that kernels of every scheme and of every converter are encoded
alike, and the operations stay those of the dense file.
"""

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from tfzip.conversion.converters.file_model import FileModel
from tfzip.tflite import read
from tfzip.tflite.sparse_kernels import FEWEST_ZEROS, best_axis, kernels_in, why_dense
from tfzip.tflite.sparse_layout import SparseLayout

_VECTORS = {
    np.uint8: (schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT),
    np.uint16: (schema.SparseIndexVector.Uint16Vector, schema.Uint16VectorT),
    np.int32: (schema.SparseIndexVector.Int32Vector, schema.Int32VectorT),
}


def store_sparse(path: Path) -> int:
    """Encodes the kernels of a file that are at least two thirds zeros where that makes it smaller, in place.

    Args:
        path: The file.

    Returns:
        How many kernels are encoded. When it is 0 the file is as it was.
    """
    graph = read(path)
    chosen = [kernel for kernel in kernels_in(graph) if kernel.zeros >= FEWEST_ZEROS]
    chosen = [kernel for kernel in chosen if not kernel.tensor.is_sparse and not why_dense(graph, kernel)]
    if not chosen:
        return 0
    content = path.read_bytes()
    model = FileModel(content)
    code = _densify_code(model)
    for kernel in chosen:
        axis, _ = best_axis(graph, kernel.tensor)
        encoded = SparseLayout.of(np.asarray(graph.constant(kernel.tensor)), axis)
        _encode(model, model.tree.subgraphs[kernel.subgraph], kernel.tensor.index, encoded, code)
    smaller = model.to_bytes()
    if len(smaller) >= len(content):
        return 0
    path.write_bytes(smaller)
    return len(chosen)


def _densify_code(model: FileModel) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DENSIFY
    code.version = 1
    model.tree.operatorCodes.append(code)
    return len(model.tree.operatorCodes) - 1


def _encode(
    model: FileModel, graph: Any, index: int, encoded: tuple[SparseLayout, NDArray[Any]], code: int
) -> None:
    """Adds the sparse constant; the tensor that was the constant becomes what DENSIFY makes of it."""
    dense = graph.tensors[index]
    sparse = copy(dense)
    layout, stored = encoded
    sparse.sparsity = _table(layout)
    model.set_values(sparse, stored)
    dense.buffer = 0
    graph.tensors.append(sparse)
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.builtinOptionsType = schema.BuiltinOptions.DensifyOptions
    operator.builtinOptions = schema.DensifyOptionsT()
    operator.inputs = np.array([len(graph.tensors) - 1], np.int32)
    operator.outputs = np.array([index], np.int32)
    first = next(place for place, one in enumerate(graph.operators) if index in one.inputs)
    graph.operators.insert(first, operator)


def _table(layout: SparseLayout) -> Any:
    made = schema.SparsityParametersT()
    made.traversalOrder = np.array(layout.order, np.int32)
    made.dimMetadata = [_axis(axis) for axis in layout.axes]
    return made


def _axis(axis: Any) -> Any:
    made = schema.DimensionMetadataT()
    if axis.segments is None:
        made.format, made.denseSize = schema.DimensionType.DENSE, axis.size
        return made
    made.format = schema.DimensionType.SPARSE_CSR
    made.arraySegmentsType, made.arraySegments = _vector(axis.segments)
    made.arrayIndicesType, made.arrayIndices = _vector(axis.indices)
    return made


def _vector(numbers: NDArray[Any]) -> tuple[int, Any]:
    kind, cls = _VECTORS[numbers.dtype.type]
    vector = cls()
    vector.values = numbers
    return kind, vector
