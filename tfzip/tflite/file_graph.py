"""What a .tflite holds, as frozen data: subgraphs, tensors, operations, signatures.

Constants stay in the file until they are asked for, so a graph with 100 MB of weights is small and pickles.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfzip.errors import FileFormatError
from tfzip.tflite.sparse_layout import SparseLayout
from tfzip.tflite.sparse_table import read_layout

BITS_OF = {
    "int2": 2,
    "int4": 4,
    "uint4": 4,
    "float8_e4m3fn": 8,
    "float8_e5m2": 8,
    "bfloat16": 16,
    "bool": 8,
} | {
    name: np.dtype(name).itemsize * 8
    for name in (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
}
_FLOATS = ("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a subgraph.

    Attributes:
        index: Its number in the subgraph.
        name: As the converter called it.
        shape: Dimensions as stored; 1 where the file leaves one open.
        shape_signature: Dimensions with -1 where the file leaves one open.
        dtype: NumPy-style name, also `"int4"` and `"bfloat16"`.
        is_constant: Whether its values are in the file.
        size_bytes: Bytes its values take in the file; 0 for what is computed.
        data_offset: Where its values begin in the file.
        scales: Values of one step; empty when not quantized, one, or one for each index of `quantized_axis`.
        zero_points: Integers that stand for 0.0, as many as `scales`.
        quantized_axis: Axis of the scales; meaningful when there are several.
        sparsity_offset: Where the table of its sparse encoding begins; 0 when its values are stored dense.
        is_variable: Whether it keeps its values from one run to the next.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    is_constant: bool = False
    size_bytes: int = 0
    data_offset: int = 0
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_axis: int = 0
    sparsity_offset: int = 0
    is_variable: bool = False

    @property
    def is_sparse(self) -> bool:
        """Whether the values are stored in a sparse encoding, without their zeros."""
        return self.sparsity_offset > 0

    @property
    def num_elements(self) -> int:
        """Number of values, counting zeros that are not stored."""
        return math.prod(self.shape)

    @property
    def dense_bytes(self) -> int:
        """Bytes of all its values side by side, as they take in memory; 0 for strings and resources."""
        return (self.num_elements * BITS_OF.get(self.dtype, 0) + 7) // 8

    @property
    def is_float(self) -> bool:
        """Whether its values are floating-point numbers."""
        return self.dtype in _FLOATS


@dataclass(frozen=True, slots=True)
class Operator:
    """An operation of a subgraph.

    Attributes:
        index: Its number in the subgraph, which is the order of execution.
        name: `"CONV_2D"`; for a custom operation its own name, for example `"FlexErf"`.
        inputs: Numbers of tensors; -1 for an optional input left out.
        outputs: Numbers of tensors.
        options: Numeric options as the schema calls them, for example `{"StrideH": 2}`.
        is_custom: Whether it is no builtin operation.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    is_custom: bool = False

    @property
    def is_flex(self) -> bool:
        """Whether it needs TensorFlow's own kernels at run time."""
        return self.is_custom and self.name.startswith("Flex")


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A graph of operations; the first of a file is its main one, others are bodies of loops and branches."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def tensors_of(self, indices: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Returns the tensors with those numbers, leaving out optional ones that are absent."""
        return tuple(self.tensors[index] for index in indices if index >= 0)


@dataclass(frozen=True, slots=True)
class Signature:
    """An entry point with named inputs and outputs.

    Attributes:
        key: Its name, usually `"serving_default"`.
        subgraph: Number of the subgraph it runs.
        inputs: Numbers of tensors by name.
        outputs: Numbers of tensors by name.
    """

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FileGraph:
    """All that a .tflite says of itself.

    Attributes:
        path: The file.
        size_bytes: Its size.
        description: Free text of the converter.
        subgraphs: The main one first.
        signatures: Entry points; empty for files without names.
        metadata_names: Names of the entries of the metadata table.
    """

    path: Path
    size_bytes: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata_names: tuple[str, ...]

    @property
    def main(self) -> Subgraph:
        """The subgraph that runs when the file is invoked."""
        return self.subgraphs[0]

    def constant(self, tensor: Tensor) -> npt.NDArray[Any]:
        """Reads the values of a constant, mapped from the file and read-only, int2 and int4 widened to int8.

        Those of a sparse encoding are unpacked into memory, with their zeros.

        Args:
            tensor: A constant of this file.

        Returns:
            Its values in its shape; for strings the raw bytes, for bfloat16 the same numbers in float32.

        Raises:
            FileFormatError: It has no values here, its sparse encoding contradicts itself, or its bytes do
                not fill its shape.
        """
        if tensor.is_sparse:
            return self._unpacked(tensor)
        if not tensor.size_bytes:
            raise FileFormatError(
                f"Tensor {tensor.name!r} of {self.path} has no values in the file, so they cannot be read."
            )
        raw = np.memmap(self.path, np.uint8, "r", tensor.data_offset, (tensor.size_bytes,))
        if tensor.dtype not in BITS_OF:
            return raw
        if tensor.size_bytes != tensor.dense_bytes:
            raise FileFormatError(
                f"Tensor {tensor.name!r} of {self.path} needs {tensor.dense_bytes} bytes for its shape"
                f" {tensor.shape} of {tensor.dtype} and has {tensor.size_bytes}; the file is damaged."
            )
        return _decoded(raw, tensor).reshape(tensor.shape)

    def sparse_layout(self, tensor: Tensor) -> SparseLayout:
        """Reads where the stored values of a sparse constant belong; they are not checked against its shape.

        Raises:
            FileFormatError: The table is damaged.
        """
        return read_layout(self.path, tensor.sparsity_offset)

    def stored(self, tensor: Tensor) -> npt.NDArray[Any]:
        """Reads the values that a sparse constant stores, as one row, mapped from the file.

        Raises:
            FileFormatError: Its values are narrower than a byte or no numbers, or end amid one.
        """
        bits = BITS_OF.get(tensor.dtype, 0)
        if bits < 8 or tensor.size_bytes * 8 % bits:
            raise FileFormatError(
                f"Tensor {tensor.name!r} of {self.path} stores {tensor.size_bytes} bytes of {tensor.dtype} in"
                " a sparse encoding; the file is damaged."
            )
        if not tensor.size_bytes:
            return _decoded(np.zeros(0, np.uint8), tensor)
        return _decoded(np.memmap(self.path, np.uint8, "r", tensor.data_offset, (tensor.size_bytes,)), tensor)

    def _unpacked(self, tensor: Tensor) -> npt.NDArray[Any]:
        stored = self.stored(tensor)
        try:
            return self.sparse_layout(tensor).dense(stored, tensor.shape)
        except FileFormatError as error:
            raise FileFormatError(
                f"Tensor {tensor.name!r} of {self.path} cannot be unpacked: {error}. Export or copy it again."
            ) from error


def _decoded(raw: npt.NDArray[np.uint8], tensor: Tensor) -> npt.NDArray[Any]:
    """Turns stored bytes into numbers; packed ones lie with the first value in the lowest bits."""
    bits = BITS_OF[tensor.dtype]
    if bits < 8:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        values = ((raw[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[: tensor.num_elements]
        signed = values.astype(np.int8)
        return signed - ((signed >> (bits - 1)) << bits) if tensor.dtype.startswith("int") else signed
    if tensor.dtype == "bfloat16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return raw if tensor.dtype.startswith("float8") else raw.view(np.dtype(tensor.dtype).newbyteorder("<"))
