"""Reads a .tflite into a `FileGraph`: the only place that knows the numbers of the schema's fields.

Weights are not touched, so a file of 100 MB takes milliseconds. A truncated or hostile file is one error,
never a crash: bounds are checked in `tfzip.tflite.flat`, and every index is checked here before anyone
follows it.
"""

import math
import mmap
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from tfzip.errors import FileFormatError
from tfzip.tflite import schema
from tfzip.tflite.file_graph import FileGraph, Operator, Signature, Subgraph, Tensor
from tfzip.tflite.flat import Bytes, Table, root_of

_CUSTOM = 32
_VERSION = 3
_MAX_RANK = 64
_MAX_ELEMENTS = 1 << 48


def read(path: str | os.PathLike[str]) -> FileGraph:
    """Reads what a .tflite holds, without its weights.

    Args:
        path: The file.

    Raises:
        FileFormatError: It does not exist, is no .tflite, or is truncated or damaged.
    """
    data = open_bytes(path)
    try:
        return parse(Path(path), data)
    except FileFormatError as error:
        raise damaged(path, error) from error


def open_bytes(path: str | os.PathLike[str]) -> Bytes:
    """Maps a file into memory, or raises `FileFormatError` when there is nothing to map."""
    try:
        with Path(path).open("rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                raise FileFormatError(f"{path} is empty. Give a .tflite, or export it again.")
            return Bytes(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read: {error.strerror}. Give the path of a .tflite."
        ) from None


def damaged(path: str | os.PathLike[str], error: Exception) -> FileFormatError:
    """Returns the error for a file that is no whole .tflite."""
    return FileFormatError(f"{path} is no .tflite or is damaged: {error}. Export or copy it again.")


def parse(path: Path, data: Bytes) -> FileGraph:
    """Reads the bytes of a file; what is wrong with them is a `FileFormatError` that does not name it."""
    model = root_of(data)
    version = model.number(0, "I")
    if version != _VERSION:
        raise FileFormatError(f"its schema is version {version} where {_VERSION} is known")
    codes = [_operator_code(code) for code in model.tables(1)]
    buffers = [_buffer(buffer) for buffer in model.tables(4)]
    subgraphs = tuple(_subgraph(subgraph, codes, buffers) for subgraph in model.tables(2))
    if not subgraphs:
        raise FileFormatError("it holds no graph")
    return FileGraph(
        path=path,
        size_bytes=data.size,
        description=model.text(3),
        subgraphs=subgraphs,
        signatures=tuple(_signature(signature, subgraphs) for signature in model.tables(7)),
        metadata_names=tuple(entry.text(0) for entry in model.tables(6)),
    )


def _operator_code(code: Table) -> tuple[str, bool]:
    """Returns an operation's name and whether it is custom; the code grew from 8 to 32 bits in 2020."""
    number = max(code.number(0, "b"), code.number(3, "i"))
    is_custom = number == _CUSTOM
    return (code.text(1) or "CUSTOM", True) if is_custom else (schema.op_name(number), False)


def _buffer(buffer: Table) -> tuple[int, int]:
    """Returns where the bytes of a buffer begin and how many there are; big files keep them at their end."""
    offset, size_bytes = buffer.number(1, "Q"), buffer.number(2, "Q")
    if offset > 1:
        buffer.data.require(offset, size_bytes, "the values of a tensor")
        return offset, size_bytes
    return buffer.span(0, 1)


def _subgraph(table: Table, codes: list[tuple[str, bool]], buffers: list[tuple[int, int]]) -> Subgraph:
    tensors = tuple(_tensor(index, tensor, buffers) for index, tensor in enumerate(table.tables(0)))
    return Subgraph(
        name=table.text(4),
        tensors=tensors,
        operators=tuple(
            _operator(index, operator, codes, num_tensors=len(tensors))
            for index, operator in enumerate(table.tables(3))
        ),
        inputs=_indices(table, 1, len(tensors)),
        outputs=_indices(table, 2, len(tensors)),
    )


def _tensor(index: int, table: Table, buffers: list[tuple[int, int]]) -> Tensor:
    shape = tuple(table.array(0, "i4").tolist())
    if len(shape) > _MAX_RANK or min(shape, default=0) < 0 or math.prod(shape) > _MAX_ELEMENTS:
        raise FileFormatError(f"tensor {index} has the impossible shape {shape[:_MAX_RANK]}")
    offset, size_bytes = buffers[_checked(table.number(2, "I"), len(buffers), "buffer")]
    quantization = table.table(4)
    scales = tuple(quantization.array(2, "f4").tolist()) if quantization else ()
    return Tensor(
        index=index,
        name=table.text(3),
        shape=shape,
        shape_signature=tuple(table.array(7, "i4").tolist()) or shape,
        dtype=schema.dtype_name(table.number(1, "b")),
        is_constant=size_bytes > 0 or table.number(10, "I") > 0 or table.field(6) > 0,
        size_bytes=size_bytes,
        data_offset=offset,
        scales=scales,
        zero_points=tuple(quantization.array(3, "i8").tolist()) if quantization and scales else (),
        quantized_axis=quantization.number(6, "i") if quantization else 0,
        sparsity_offset=table.data.forward(table.field(6)) if table.field(6) else 0,
        is_variable=table.number(5, "B") > 0,
    )


def _operator(index: int, table: Table, codes: list[tuple[str, bool]], *, num_tensors: int) -> Operator:
    name, is_custom = codes[_checked(table.number(0, "I"), len(codes), "operation code")]
    return Operator(
        index=index,
        name=name,
        inputs=_indices(table, 1, num_tensors),
        outputs=_indices(table, 2, num_tensors),
        options=_options(table),
        is_custom=is_custom,
    )


def _options(operator: Table) -> Mapping[str, object]:
    """Reads the table of options, which lies in one of two unions."""
    for kind, slot, second in ((3, 4, False), (11, 12, True)):
        options = operator.table(slot)
        if options is not None:
            try:
                return schema.read_options(
                    operator.number(kind, "B"), options.data.view, options.position, second=second
                )
            except struct.error:
                raise FileFormatError("the options of an operation end too early") from None
    return {}


def _signature(table: Table, subgraphs: tuple[Subgraph, ...]) -> Signature:
    subgraph = _checked(table.number(4, "I"), len(subgraphs), "subgraph")
    count = len(subgraphs[subgraph].tensors)

    def names(slot: int) -> dict[str, int]:
        return {item.text(0): _checked(item.number(1, "I"), count, "tensor") for item in table.tables(slot)}

    return Signature(table.text(2), subgraph, names(0), names(1))


def _indices(table: Table, slot: int, count: int) -> tuple[int, ...]:
    indices: Iterable[int] = table.array(slot, "i4").tolist()
    return tuple(_checked(index, count, "tensor") if index != -1 else -1 for index in indices)


def _checked(index: int, count: int, what: str) -> int:
    if not 0 <= index < count:
        raise FileFormatError(f"it names {what} {index} of {count}")
    return index
