"""A .tflite as objects that can be changed, and back to the fewest bytes that say the same."""

from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_NAMES: dict[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}


class FileModel:
    """The object tree of a .tflite.

    Args:
        content: The bytes of a file.

    Attributes:
        tree: `ModelT` of the schema.
    """

    def __init__(self, content: bytes | bytearray) -> None:
        self.tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(content), 0))

    def operators(self) -> Iterator[tuple[Any, Any]]:
        """Yields every subgraph's operations, each with its subgraph."""
        for graph in self.tree.subgraphs:
            for operator in graph.operators or ():
                yield graph, operator

    def name_of(self, operator: Any) -> str:
        """Returns the name of a builtin operation, such as `"CONV_2D"`."""
        code = self.tree.operatorCodes[operator.opcodeIndex]
        return _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def values(self, tensor: Any) -> NDArray[Any] | None:
        """Returns the values of a constant, or `None` for what is computed or has a type of its own."""
        data = self.tree.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.type not in _DTYPES:
            return None
        shape = () if tensor.shape is None else tuple(tensor.shape)
        return np.frombuffer(bytes(data), _DTYPES[tensor.type]).reshape(shape)

    def set_values(self, tensor: Any, data: NDArray[Any]) -> None:
        """Gives a tensor bytes of its own; who shared its old ones keeps them."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.tree.buffers.append(buffer)
        tensor.buffer = len(self.tree.buffers) - 1

    def to_bytes(self) -> bytes:
        """Returns the file. Equal buffers and equal vectors are stored once, unused buffers not at all."""
        self._compact()
        builder = _SharingBuilder(1024)
        builder.Finish(self.tree.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _compact(self) -> None:
        old, kept = self.tree.buffers, [schema.BufferT()]
        places: dict[bytes, int] = {b"": 0}
        for holder in [t for graph in self.tree.subgraphs for t in graph.tensors] + (
            self.tree.metadata or []
        ):
            data = old[holder.buffer].data
            content = b"" if data is None else bytes(data)
            if content not in places:
                places[content] = len(kept)
                kept.append(old[holder.buffer])
            holder.buffer = places[content]
        self.tree.buffers = kept


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Points at an equal vector of numbers already written, such as the zeros of zero points."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 (the name is flatbuffers')
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]
