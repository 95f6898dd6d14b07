"""Stores kernels of a finished file in the sparse encoding, each unpacked by a DENSIFY operation.

It works on the file and not on the model, so that kernels of every scheme and of every converter are encoded
alike, and the operations stay those of the dense file.
"""

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from tfzip.conversion.converters.file_model import FileModel
from tfzip.tflite import read
from tfzip.tflite.sparse_kernels import FEWEST_ZEROS, best_axis, kernels_in, why_dense
from tfzip.tflite.sparse_layout import Axis, SparseLayout

_VECTORS = {
    np.uint8: (schema.SparseIndexVector.Uint8Vector, schema.Uint8VectorT),
    np.uint16: (schema.SparseIndexVector.Uint16Vector, schema.Uint16VectorT),
    np.int32: (schema.SparseIndexVector.Int32Vector, schema.Int32VectorT),
}


@dataclass(frozen=True)
class Stored:
    """What the sparse encoding did to a file.

    Attributes:
        num_kernels: Kernels that are stored sparse.
        saved_bytes: By how much the file became smaller.
    """

    num_kernels: int = 0
    saved_bytes: int = 0

    def __str__(self) -> str:
        count = f"{self.num_kernels} kernel{'' if self.num_kernels == 1 else 's'}"
        return f"{count}, {self.saved_bytes} bytes smaller than dense" if self.num_kernels else "no kernel"


def store_sparse(path: Path) -> Stored:
    """Encodes the kernels of a file that are at least two thirds zeros where that makes it smaller, in place.

    Where nothing is encoded the file stays as it was.

    Args:
        path: The file.
    """
    graph, content = read(path), path.read_bytes()
    chosen = [
        kernel
        for kernel in kernels_in(graph)
        if kernel.zeros >= FEWEST_ZEROS and not kernel.tensor.is_sparse and not why_dense(graph, kernel)
    ]
    if not chosen:
        return Stored()
    model = FileModel(content)
    code = _densify_code(model)
    for kernel in chosen:
        axis, _ = best_axis(graph, kernel.tensor)
        encoded = SparseLayout.of(np.asarray(graph.constant(kernel.tensor)), axis)
        _encode(model, model.tree.subgraphs[kernel.subgraph], kernel.tensor.index, encoded, code)
    smaller = model.to_bytes()
    path.write_bytes(smaller)
    return Stored(len(chosen), len(content) - len(smaller))


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


def _axis(axis: Axis) -> Any:
    made = schema.DimensionMetadataT()
    if axis.segments is None or axis.indices is None:
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
