"""Lays a new root in front of a flatbuffer, so that its metadata change and its body stays byte for byte.

Offsets in a flatbuffer are relative and point forward. A root table placed *before* the old file can
therefore point into it, and nothing inside it has to move relative to anything else: signing a file costs a
few hundred bytes and one copy, whatever its size, and the converter's file can be cut out again.

    header | mark | root table | metadata entries | buffers | text || the old file, 16-byte aligned
"""

import struct
from collections.abc import Callable

from tfzip.errors import FileFormatError
from tfzip.tflite.flat import IDENTIFIER, Table

MARK = b"TFZP"
ALIGNMENT = 16
_BUFFERS, _METADATA, _NUM_FIELDS = 4, 6, 10
_MAX_BYTES = (1 << 31) - 1


class Front:
    """Bytes under construction, with places to be filled in once their targets are known."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self._open: list[tuple[int, Callable[[int], int]]] = []

    @property
    def position(self) -> int:
        """Where the next byte goes."""
        return len(self.bytes)

    def add(self, form: str, *values: int | bytes) -> int:
        """Appends little-endian values and returns where they begin."""
        begin = self.position
        self.bytes += struct.pack(f"<{form}", *values)
        return begin

    def point(self, target: Callable[[int], int]) -> int:
        """Appends a forward offset to `target(size)`, with the size that the front will have."""
        self._open.append((self.position, target))
        return self.add("I", 0)

    def point_here(self, place: int) -> None:
        """Lets the offset appended at `place` point at the next byte."""
        struct.pack_into("<I", self.bytes, place, self.position - place)

    def pad(self, alignment: int, ahead: int = 0) -> None:
        """Appends zeros until what follows `ahead` more bytes is aligned."""
        self.bytes += bytes(-(self.position + ahead) % alignment)

    def vector(self, content: bytes, alignment: int = 4) -> None:
        """Appends a length and that many bytes, the bytes aligned."""
        self.add("I", len(content))
        self.bytes += content
        self.pad(alignment)

    def finish(self) -> bytes:
        """Closes every offset into the body, and returns the bytes that go in front of it."""
        self.pad(ALIGNMENT)
        size = self.position
        for place, target in self._open:
            struct.pack_into("<I", self.bytes, place, target(size) - place)
        struct.pack_into("<I", self.bytes, 8 + len(MARK), size)
        return bytes(self.bytes)


def front_of(model: Table, name: str, text: bytes) -> bytes:
    """Returns the bytes to put before a file so that its metadata hold one entry more.

    Args:
        model: Root table of the file as the converter wrote it.
        name: Name of the entry; one of that name in the file is left out.
        text: Content of the entry.

    Raises:
        FileFormatError: The file has fields newer than the schema known here, or becomes too big to address.
    """
    if len(model.fields) > _NUM_FIELDS:
        raise FileFormatError(f"its root has {len(model.fields)} fields where {_NUM_FIELDS} are known")
    if model.data.size + len(text) + ALIGNMENT * len(model.positions(_BUFFERS)) > _MAX_BYTES:
        raise FileFormatError("with metadata it would pass the 2 GB that a flatbuffer can address")
    front = Front()
    root = front.add("I4s4sI", 0, IDENTIFIER, MARK, 0)
    entries, buffers = _add_root(front, model, root)
    kept = [entry.position for entry in model.tables(_METADATA) if entry.text(0) != name]
    entry = _add_vector(front, entries, kept)
    buffer = _add_vector(front, buffers, model.positions(_BUFFERS))
    _add_entry(front, entry, name, buffer=len(model.positions(_BUFFERS)))
    _add_buffer(front, buffer, text)
    return front.finish()


def _add_root(front: Front, model: Table, header: int) -> tuple[int, int]:
    """Copies the root's fields; returns the open places of the metadata and the buffers."""
    slots = sorted({slot for slot, position in enumerate(model.fields) if position} | {_BUFFERS, _METADATA})
    offsets = {slot: 4 * (index + 1) for index, slot in enumerate(slots)}
    layout = front.add("HH", 4 + 2 * _NUM_FIELDS, 4 + 4 * len(slots))
    front.add(f"{_NUM_FIELDS}H", *(offsets.get(slot, 0) for slot in range(_NUM_FIELDS)))
    front.pad(4)
    front.point_here(header)
    front.add("i", front.position - layout)
    places = {}
    for slot in slots:
        if slot == 0:
            front.add("I", model.number(0, "I"))
        elif slot in (_METADATA, _BUFFERS):
            places[slot] = front.add("I", 0)
        else:
            front.point(_into(model.data.forward(model.field(slot))))
    return places[_METADATA], places[_BUFFERS]


def _add_vector(front: Front, place: int, targets: list[int]) -> int:
    """Appends a vector of tables of the body and of one more; returns the open place of the latter."""
    front.point_here(place)
    front.add("I", len(targets) + 1)
    for target in targets:
        front.point(_into(target))
    return front.add("I", 0)


def _add_entry(front: Front, place: int, name: str, *, buffer: int) -> None:
    """Appends a `Metadata` table: a name, and the number of the buffer with the content."""
    layout = front.add("HHHH", 8, 12, 4, 8)
    front.point_here(place)
    front.add("i", front.position - layout)
    named = front.add("I", 0)
    front.add("I", buffer)
    front.point_here(named)
    front.add("I", len(name.encode()))
    front.bytes += name.encode() + b"\0"
    front.pad(4)


def _add_buffer(front: Front, place: int, text: bytes) -> None:
    """Appends a `Buffer` table and its bytes."""
    layout = front.add("HHH", 6, 8, 4)
    front.pad(4)
    front.point_here(place)
    front.add("i", front.position - layout)
    content = front.add("I", 0)
    front.pad(ALIGNMENT, ahead=4)
    front.point_here(content)
    front.vector(text)


def _into(position: int) -> Callable[[int], int]:
    """Returns what a position in the body becomes once a front of some size lies before it."""
    return lambda size: size + position
