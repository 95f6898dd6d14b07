"""Messages of protocol buffers, read without a schema and without the package."""

import struct
from collections.abc import Iterator
from typing import Any


def message(content: bytes) -> dict[int, Any]:
    """Returns the last value of each field by its number; see `fields`."""
    return dict(fields(content))


def fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yields the fields of a message: their numbers with whole numbers, floats, or bytes.

    Raises:
        ValueError: The bytes are no whole message.
    """
    at, value = 0, None  # type: int, Any
    while at < len(content):
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(content, at)
        elif kind == 2:
            size, at = _varint(content, at)
            value, at = _piece(content, at, size), at + size
        elif kind in (1, 5):
            size, form = (8, "<d") if kind == 1 else (4, "<f")
            (value,), at = struct.unpack(form, _piece(content, at, size)), at + size
        else:
            raise ValueError("no such kind")
        yield number, value


def _piece(content: bytes, at: int, size: int) -> bytes:
    if at + size > len(content):
        raise ValueError("cut short")
    return content[at : at + size]


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = _piece(content, at, 1)[0]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
