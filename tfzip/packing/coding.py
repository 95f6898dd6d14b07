"""One buffer of weights as codebooks and indices: ways to write it, of which the smallest is kept.

A codebook lists the different values of the buffer, or of each channel of it. Indices take a byte each, or
half a byte where no codebook has more than 16 values. zstandard's entropy coder then shortens both.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import FileFormatError
from tfzip.packing.buffers import Buffer

PLAIN, PLANES, INDICES_8, INDICES_4 = range(4)
ENTRY = struct.Struct("<QQBBII")
_MOST_CODES, _MOST_HALF_CODES = 256, 16
_UNSIGNED: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
}
Codebooks = list[NDArray[Any]]


@dataclass(frozen=True)
class Coding:
    """How a buffer is written.

    Attributes:
        offset: Where it begins in the file.
        size_bytes: How many bytes it has.
        kind: `PLAIN` bytes, `PLANES` (first bytes of all items, then second bytes, ...), `INDICES_8` or
            `INDICES_4`.
        item_bytes: Bytes of a value: 1, 2 or 4.
        channels: Number of codebooks.
        inner: Items that lie together in one channel: item `i` is in channel `i // inner % channels`.
    """

    offset: int
    size_bytes: int
    kind: int
    item_bytes: int
    channels: int = 1
    inner: int = 1

    def entry(self) -> bytes:
        """Returns the fields as they are stored."""
        return ENTRY.pack(self.offset, self.size_bytes, self.kind, self.item_bytes, self.channels, self.inner)

    @property
    def is_possible(self) -> bool:
        """Whether the fields fit together; they may come from a hostile file."""
        return (
            PLAIN <= self.kind <= INDICES_4
            and self.item_bytes in _UNSIGNED
            and min(self.size_bytes, self.channels, self.inner) > 0
            and self.size_bytes % (self.item_bytes * self.channels * self.inner) == 0
        )

    @property
    def items(self) -> int:
        """Number of values."""
        return self.size_bytes // self.item_bytes

    @property
    def stream_bytes(self) -> int:
        """Bytes of the buffer's own stream."""
        if self.kind == INDICES_4:
            return (self.items + 1) // 2
        return self.items if self.kind == INDICES_8 else self.size_bytes


@dataclass(frozen=True)
class Coded:
    """A buffer written in one way: how, its codebooks, and its stream."""

    coding: Coding
    table: bytes
    stream: bytes


class Tables:
    """All codebooks of a file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, item_bytes: int) -> NDArray[Any]:
        """Returns the next codebook: a byte with its length less one, then the steps between its values."""
        begin = self._position + 1
        count = self._data[self._position] + 1 if begin <= len(self._data) else 0
        self._position = begin + count * item_bytes
        if not count or self._position > len(self._data):
            raise FileFormatError("a codebook is missing")
        dtype = _UNSIGNED[item_bytes]
        return np.cumsum(np.frombuffer(self._data, dtype, count, begin), dtype=dtype)


def candidates(buffer: Buffer, data: bytes) -> Iterator[Coded]:
    """Yields every way to write the bytes of a buffer."""
    place = (buffer.offset, len(data))
    yield Coded(Coding(*place, PLAIN, 1), b"", data)
    items = np.frombuffer(data, _UNSIGNED[buffer.item_bytes])
    if buffer.item_bytes > 1:
        planes = items.view(np.uint8).reshape(-1, buffer.item_bytes).T
        yield Coded(Coding(*place, PLANES, buffer.item_bytes), b"", planes.tobytes())
    for channels, inner in ((1, 1), *buffer.layouts):
        found = _indexed(items, channels, inner)
        if found is None:
            continue
        codebooks, indices = found
        table = b"".join(map(_written, codebooks))
        if len(table) > len(data):
            continue
        shape = (buffer.item_bytes, channels, inner)
        yield Coded(Coding(*place, INDICES_8, *shape), table, indices.tobytes())
        if max(map(len, codebooks)) <= _MOST_HALF_CODES:
            yield Coded(Coding(*place, INDICES_4, *shape), table, _halved(indices))


def decoded(coding: Coding, tables: Tables, stream: bytes) -> bytes:
    """Returns the bytes of a buffer; takes its codebooks from the front of the tables.

    Raises:
        FileFormatError: The parts do not fit together.
    """
    if len(stream) != coding.stream_bytes:
        raise FileFormatError(f"a buffer has {len(stream)} of {coding.stream_bytes} bytes")
    if coding.kind == PLAIN:
        return stream
    indices = np.frombuffer(stream, np.uint8)
    if coding.kind == PLANES:
        return indices.reshape(coding.item_bytes, -1).T.tobytes()
    if coding.kind == INDICES_4:
        indices = np.stack([indices & 15, indices >> 4], axis=1).reshape(-1)[: coding.items]
    by_channel = indices.reshape(-1, coding.channels, coding.inner)
    values = np.empty(by_channel.shape, _UNSIGNED[coding.item_bytes])
    for channel in range(coding.channels):
        codes = tables.take(coding.item_bytes)
        if by_channel[:, channel].max() >= len(codes):
            raise FileFormatError("an index points outside its codebook")
        values[:, channel] = codes[by_channel[:, channel]]
    return values.tobytes()


def _indexed(items: NDArray[Any], channels: int, inner: int) -> tuple[Codebooks, NDArray[np.uint8]] | None:
    """Returns the codebook of each channel and the indices, or None where a channel has too many values."""
    by_channel = items.reshape(-1, channels, inner)
    indices = np.empty(by_channel.shape, np.uint8)
    codebooks = []
    for channel in range(channels):
        codes, inverse = np.unique(by_channel[:, channel], return_inverse=True)
        if len(codes) > _MOST_CODES:
            return None
        codebooks.append(codes)
        indices[:, channel] = inverse.reshape(-1, inner)
    return codebooks, indices.reshape(-1)


def _written(codes: NDArray[Any]) -> bytes:
    steps = np.diff(codes, prepend=codes.dtype.type(0)).astype(codes.dtype)
    return bytes([len(codes) - 1]) + steps.tobytes()


def _halved(indices: NDArray[np.uint8]) -> bytes:
    """Returns two indices in a byte, the first in the low half."""
    padded = np.concatenate([indices, np.zeros(len(indices) % 2, np.uint8)])
    return bytes((padded[::2] | padded[1::2] << 4).tobytes())
