"""Reads the tables of a flatbuffer without trusting a byte of it.

Every offset and length is checked against the end of the buffer before it is followed, and all that is read
is paid for from a budget in proportion to the file's size: a hostile file can neither point outside itself
nor blow up what is built from it by sharing one table a million times.

The format: a table begins with the signed distance back to its vtable; the vtable holds its own size, the
table's size, and for each field the distance from the table's start, or 0 for a default. Strings, vectors and
tables inside a table are unsigned distances forward from the place that holds them.
"""

import struct
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tfzip.errors import FileFormatError

IDENTIFIER = b"TFL3"
_TABLE_COST_BYTES = 16
_SPARE_BYTES = 1 << 20
_SIGNED, _UNSIGNED, _SHORT = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<H")


class Bytes:
    """A buffer with bounds and a budget.

    Args:
        data: Anything with the buffer protocol, for example a memory map.
    """

    def __init__(self, data: Any) -> None:
        self.view = memoryview(data)
        self.size = len(self.view)
        self._budget_bytes = 2 * self.size + _SPARE_BYTES

    def unpack(self, form: struct.Struct, position: int) -> Any:
        """Returns the number at a position, or raises `FileFormatError` when it is outside."""
        self.require(position, form.size, "a number")
        return form.unpack_from(self.view, position)[0]

    def require(self, position: int, size_bytes: int, what: str) -> None:
        """Raises `FileFormatError` unless `[position, position + size_bytes)` is inside the buffer."""
        if position < 0 or position + size_bytes > self.size:
            raise FileFormatError(
                f"{what} of {size_bytes} bytes at byte {position} is not inside its {self.size} bytes"
            )

    def spend(self, size_bytes: int) -> None:
        """Pays for something read; raises `FileFormatError` once far more is read than the file holds."""
        self._budget_bytes -= size_bytes
        if self._budget_bytes < 0:
            raise FileFormatError("its tables point at the same bytes over and over")

    def forward(self, position: int) -> int:
        """Follows the unsigned offset stored at a position."""
        target: int = position + self.unpack(_UNSIGNED, position)
        return target


@dataclass(frozen=True, slots=True)
class Table:
    """One table: fields are asked for by their number in the schema, counted from 0.

    Attributes:
        data: The buffer it lies in.
        position: Where it begins.
        fields: The position of each stored field; 0 for one left at its default.
    """

    data: Bytes
    position: int
    fields: tuple[int, ...]

    @classmethod
    def at(cls, data: Bytes, position: int) -> Self:
        """Reads the table's vtable and checks both against the end of the buffer."""
        data.spend(_TABLE_COST_BYTES)
        vtable = position - data.unpack(_SIGNED, position)
        vtable_bytes, table_bytes = data.unpack(_SHORT, vtable), data.unpack(_SHORT, vtable + 2)
        data.require(vtable, vtable_bytes, "the layout of a table")
        data.require(position, table_bytes, "a table")
        count = max(0, vtable_bytes // 2 - 2)
        offsets = struct.unpack_from(f"<{count}H", data.view, vtable + 4)
        return cls(data, position, tuple(position + offset if offset else 0 for offset in offsets))

    def field(self, slot: int) -> int:
        """Returns where a field is stored, or 0 when it is left at its default."""
        return self.fields[slot] if slot < len(self.fields) else 0

    def number(self, slot: int, form: str, default: int = 0) -> int:
        """Returns an integer field; `form` is its letter in `struct`."""
        position = self.field(slot)
        return int(self.data.unpack(struct.Struct(f"<{form}"), position)) if position else default

    def table(self, slot: int) -> "Table | None":
        """Returns the table a field points at, or None."""
        position = self.field(slot)
        return Table.at(self.data, self.data.forward(position)) if position else None

    def span(self, slot: int, item_bytes: int) -> tuple[int, int]:
        """Returns where a vector's items begin and how many there are; (0, 0) when there is none."""
        position = self.field(slot)
        if not position:
            return 0, 0
        begin = self.data.forward(position)
        count = self.data.unpack(_UNSIGNED, begin)
        self.data.require(begin + _UNSIGNED.size, count * item_bytes, "a vector")
        return begin + _UNSIGNED.size, count

    def text(self, slot: int) -> str:
        """Returns a string field, with what is not UTF-8 replaced."""
        begin, count = self.span(slot, 1)
        self.data.spend(count)
        return bytes(self.data.view[begin : begin + count]).decode("utf-8", "replace")

    def array(self, slot: int, dtype: str) -> npt.NDArray[Any]:
        """Returns a vector of numbers as a copy, so that the buffer may be closed."""
        kind = np.dtype(dtype).newbyteorder("<")
        begin, count = self.span(slot, kind.itemsize)
        self.data.spend(count * kind.itemsize)
        return np.frombuffer(self.data.view[begin : begin + count * kind.itemsize], kind).copy()

    def positions(self, slot: int) -> list[int]:
        """Returns where the tables of a vector of tables begin."""
        begin, count = self.span(slot, _UNSIGNED.size)
        self.data.spend(count * _UNSIGNED.size)
        offsets = struct.unpack_from(f"<{count}I", self.data.view, begin)
        return [begin + index * _UNSIGNED.size + offset for index, offset in enumerate(offsets)]

    def tables(self, slot: int) -> list["Table"]:
        """Returns the tables of a vector of tables."""
        return [Table.at(self.data, position) for position in self.positions(slot)]


def root_of(data: Bytes) -> Table:
    """Returns the root table of a .tflite after checking the four bytes that name the format."""
    data.require(0, 8, "a header")
    found = bytes(data.view[4:8])
    if found != IDENTIFIER:
        raise FileFormatError(f"it names its format {found!r} where a .tflite has {IDENTIFIER!r}")
    return Table.at(data, data.forward(0))
