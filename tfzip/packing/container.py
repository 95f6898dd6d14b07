"""The layout of a packed file: bytes in, bytes out.

| bytes | what |
|---|---|
| 4 | `TFZP` |
| 1 | version: 1 |
| 4 | CRC-32 of everything after it |
| 8 | size of the original file |
| 32 | SHA-256 of the original file |
| rest | parts: 4 bytes with the length of a zstandard frame, then the frame |

Numbers are little-endian. The first part lists the codings (`tfzip.packing.coding`), the second holds all
codebooks, the third the bytes of the file outside the coded buffers; then comes one part for each of them.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator

from tfzip.errors import FileFormatError
from tfzip.packing.buffers import FEWEST_BYTES, Buffer
from tfzip.packing.coding import (
    ENTRY,
    Coded,
    Coding,
    Tables,
    candidates,
    decoded,
)
from tfzip.packing.zstd import compressed, decompressed

MAGIC, VERSION = b"TFZP", 1
MAX_BYTES = 1 << 31
_HEADER, _CHECKED, _LENGTH = struct.Struct("<4sBI"), struct.Struct("<Q32s"), struct.Struct("<I")


def packed(data: bytes, buffers: list[Buffer]) -> bytes:
    """Returns a file in packed form: each buffer by itself, or none of them, whichever is smaller.

    Args:
        data: The file.
        buffers: Where its weights are, in order, none overlapping another.
    """
    ways = [_smallest(one, data[one.offset : one.offset + one.size_bytes]) for one in buffers]
    frames = min(_all_frames(data, ways), _all_frames(data, []), key=lambda found: sum(map(len, found)))
    body = _CHECKED.pack(len(data), hashlib.sha256(data).digest())
    body += b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames)
    return _HEADER.pack(MAGIC, VERSION, zlib.crc32(body)) + body


def unpacked(data: bytes, most_bytes: int = MAX_BYTES) -> bytes:
    """Returns the original of a packed file.

    Args:
        data: The packed file.
        most_bytes: The largest original to make room for. Defaults to 2 GiB, the limit of the format.

    Raises:
        FileFormatError: It is no packed file, is damaged, or is larger. The message does not name the file.
    """
    size, digest = _checked(data, most_bytes)
    frames = _frames(data)
    codings = _plan(next(frames), size)
    tables = Tables(decompressed(next(frames), size))
    rest = decompressed(next(frames), size)
    parts, position, taken = [], 0, 0
    for coding in codings:
        frame = next(frames)
        gap = coding.offset - position
        parts.append(rest[taken : taken + gap])
        parts.append(decoded(coding, tables, decompressed(frame, coding.stream_bytes)))
        taken, position = taken + gap, coding.offset + coding.size_bytes
    original = b"".join([*parts, rest[taken:]])
    if len(original) != size or hashlib.sha256(original).digest() != digest:
        raise FileFormatError("what it holds is not what was packed")
    return original


def _all_frames(data: bytes, ways: list[tuple[Coded, bytes]]) -> list[bytes]:
    plan = b"".join(way.coding.entry() for way, _ in ways)
    tables = b"".join(way.table for way, _ in ways)
    rest = b"".join(_outside(data, [way.coding for way, _ in ways]))
    return [*map(compressed, (plan, tables, rest)), *(frame for _, frame in ways)]


def _smallest(buffer: Buffer, data: bytes) -> tuple[Coded, bytes]:
    """Returns the shortest way to write a buffer, and its compressed stream."""
    ways = [(one, compressed(one.stream)) for one in candidates(buffer, data)]
    return min(ways, key=lambda way: len(way[1]) + (len(compressed(way[0].table)) if way[0].table else 0))


def _outside(data: bytes, codings: list[Coding]) -> Iterator[bytes]:
    position = 0
    for coding in codings:
        yield data[position : coding.offset]
        position = coding.offset + coding.size_bytes
    yield data[position:]


def _checked(data: bytes, most_bytes: int) -> tuple[int, bytes]:
    """Checks the header and the checksum; returns size and digest of the original."""
    if len(data) < _HEADER.size + _CHECKED.size or data[: len(MAGIC)] != MAGIC:
        raise FileFormatError(f"it does not begin with {MAGIC!r}")
    _, version, checksum = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FileFormatError(f"it is of version {version} where {VERSION} is known")
    if zlib.crc32(memoryview(data)[_HEADER.size :]) != checksum:
        raise FileFormatError("its checksum does not match its content")
    size, digest = _CHECKED.unpack_from(data, _HEADER.size)
    if size > most_bytes:
        raise FileFormatError(f"it claims to hold {size} bytes where {most_bytes} at most are taken")
    return size, digest


def _frames(data: bytes) -> Iterator[bytes]:
    position = _HEADER.size + _CHECKED.size
    while position + _LENGTH.size <= len(data):
        begin = position + _LENGTH.size
        position = begin + _LENGTH.unpack_from(data, position)[0]
        yield data[begin:position]
    raise FileFormatError("a part of it is missing")


def _plan(frame: bytes, size: int) -> list[Coding]:
    """Reads the codings and checks that they lie in the file, in order."""
    stored = decompressed(frame, ENTRY.size * (size // FEWEST_BYTES))
    if len(stored) % ENTRY.size:
        raise FileFormatError("its list of buffers ends early")
    codings = [Coding(*fields) for fields in ENTRY.iter_unpack(stored)]
    position = 0
    for coding in codings:
        if coding.offset < position or coding.offset + coding.size_bytes > size or not coding.is_possible:
            raise FileFormatError("its list of buffers is not possible")
        position = coding.offset + coding.size_bytes
    return codings
