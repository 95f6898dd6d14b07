"""Reads the table of a sparse encoding, `SparsityParameters`, when it is asked for."""

import mmap
from pathlib import Path

from tfzip.errors import FileFormatError
from tfzip.tflite.flat import Bytes, Table
from tfzip.tflite.sparse_layout import Axis, Indices, SparseLayout

_COMPRESSED = 1
_INDEX_TYPES = {1: "i4", 2: "u2", 3: "u1"}


def read_layout(path: Path, position: int) -> SparseLayout:
    """Reads the sparse encoding at a place of a file, bounds checked.

    Raises:
        FileFormatError: The table or one of its vectors is not inside the file, or has an unknown type.
    """
    with path.open("rb") as stream:
        data = Bytes(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    table = Table.at(data, position)
    return SparseLayout(
        order=tuple(table.array(0, "i4").tolist()),
        block_map=tuple(table.array(1, "i4").tolist()),
        axes=tuple(_axis(axis) for axis in table.tables(2)),
    )


def _axis(table: Table) -> Axis:
    if table.number(0, "b") != _COMPRESSED:
        return Axis(table.number(1, "i"))
    return Axis(0, _vector(table, 2), _vector(table, 4))


def _vector(table: Table, slot: int) -> Indices:
    """Returns one of the three kinds of index vectors; the slot before its table names the kind."""
    kind, holder = table.number(slot, "B"), table.table(slot + 1)
    if kind not in _INDEX_TYPES or holder is None:
        raise FileFormatError(f"a sparse tensor has an index vector of unknown type {kind}")
    return holder.array(0, _INDEX_TYPES[kind])
