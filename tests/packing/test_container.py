"""Packing loses nothing, finds what is shared, and says so when one byte is wrong."""

import contextlib
import hashlib
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tfzip.errors import FileFormatError
from tfzip.packing import container
from tfzip.packing.buffers import Buffer
from tfzip.packing.coding import ENTRY, INDICES_4, INDICES_8, PLAIN, PLANES, candidates
from tfzip.packing.container import packed, unpacked

RNG = np.random.default_rng(2)
DOCS = Path(__file__).parents[2] / "docs" / "weight_sharing.md"


def documented_reader():
    """Returns the `unpack` that the documentation shows."""
    (code,) = re.findall(r"```python\n(import hashlib.*?)```", DOCS.read_text(), re.S)
    names = {}
    exec(code, names)
    return names["unpack"]


def shared(channels, weights, values, per_channel):
    """Returns int8 weights with few different values, in the kernel or in each channel."""
    books = RNG.integers(-127, 128, (channels if per_channel else 1, values))
    rows = RNG.integers(0, values, (channels, weights))
    return np.take_along_axis(np.broadcast_to(books, (channels, values)), rows, axis=1).astype(np.int8)


def laid(*arrays):
    """Returns a file that holds arrays between other bytes, and where they are."""
    data, buffers = b"head", []
    for array in arrays:
        channels = array.shape[0]
        layouts = ((channels, array.size // channels),) if channels > 1 else ()
        buffers.append(Buffer(len(data), array.nbytes, array.itemsize, layouts))
        data += array.tobytes() + b"between"
    return data, buffers


FILE, BUFFERS = laid(
    shared(4, 200, 16, False),
    shared(4, 200, 13, True),
    np.arange(300, dtype=np.float32)[None],
    RNG.integers(0, 256, (1, 300)).astype(np.uint8),
)
PACKED = packed(FILE, BUFFERS)


@st.composite
def files(draw):
    data = draw(st.binary(max_size=3000))
    if draw(st.booleans()):
        data = bytes(byte % draw(st.sampled_from([1, 3, 16, 200])) for byte in data)
    buffers, end = [], 0
    for gap, items, width, channels, inner in draw(
        st.lists(
            st.tuples(
                st.integers(0, 50),
                st.integers(1, 8),
                st.sampled_from([1, 2, 4]),
                st.integers(1, 5),
                st.integers(1, 30),
            ),
            max_size=3,
        )
    ):
        size = max(256, items * width * channels * inner)
        size -= size % (width * channels * inner)
        if end + gap + size <= len(data):
            buffers.append(Buffer(end + gap, size, width, ((channels, inner),) if channels > 1 else ()))
            end += gap + size
    return data, [one for one in buffers if one.size_bytes >= 256]


@settings(max_examples=60, deadline=None)
@given(files())
def test_every_file_comes_back_the_same(case):
    data, buffers = case
    assert unpacked(packed(data, buffers)) == data
    assert documented_reader()(packed(data, buffers)) == data


def test_every_way_to_write_a_buffer_comes_back_the_same(monkeypatch):
    seen = set()
    for kind in (PLAIN, PLANES, INDICES_8, INDICES_4):
        for number in range(3):

            def only(buffer, data, kind=kind, number=number):
                ways = list(candidates(buffer, data))
                wanted = [way for way in ways if way.coding.kind == kind]
                return [wanted[min(number, len(wanted) - 1)] if wanted else ways[0]]

            with monkeypatch.context() as patch:
                patch.setattr(container, "candidates", only)
                result = only_first(FILE, BUFFERS)
            seen |= {entry[2:5] for entry in entries(result)}
            assert unpacked(result) == FILE
            assert documented_reader()(result) == FILE
    assert {kind for kind, _, _ in seen} == {PLAIN, PLANES, INDICES_8, INDICES_4}
    assert {channels for _, _, channels in seen} == {1, 4}


def only_first(data, buffers):
    """Packs with the first candidate of each buffer."""
    ways = [next(iter(container.candidates(b, data[b.offset : b.offset + b.size_bytes]))) for b in buffers]
    frames = container._all_frames(data, [(way, container.compressed(way.stream)) for way in ways])
    return sealed(data, frames)


def sealed(data, frames, size=None, digest=None):
    """Returns a container with a right checksum around whatever frames."""
    body = struct.pack("<Q32s", len(data) if size is None else size, digest or hashlib.sha256(data).digest())
    body += b"".join(struct.pack("<I", len(frame)) + frame for frame in frames)
    return struct.pack("<4sBI", b"TFZP", 1, zlib.crc32(body)) + body


def frames_of(data):
    position, frames = 49, []
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        frames.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return frames


def entries(data):
    return list(ENTRY.iter_unpack(zstandard.ZstdDecompressor().decompress(frames_of(data)[0])))


def test_the_shortest_way_is_kept_for_each_buffer():
    kernel, channels, ramp, noise = entries(PACKED)
    assert kernel[4] == 1
    assert channels[2] in (INDICES_4, INDICES_8)
    assert channels[3:5] == (1, 4)
    assert ramp[2:4] == (PLANES, 4)
    assert noise[2] == PLAIN


def test_sixteen_shared_values_take_half_a_byte():
    data, buffers = laid(shared(64, 576, 16, False), shared(64, 576, 16, True))
    assert len(packed(data, buffers)) < 0.55 * len(data)
    floats, layout = laid(shared(64, 576, 16, False).astype(np.float32) * 0.37)
    assert len(packed(floats, layout)) < 0.15 * len(floats)


def test_a_file_without_shared_values_costs_a_header_more_than_zstandard():
    data, buffers = laid(RNG.normal(size=(8, 500)).astype(np.float32))
    plain = len(zstandard.ZstdCompressor(level=22).compress(data))
    assert len(packed(data, buffers)) <= plain + 49 + 3 * 4 + 2 * 9


def test_damage_of_every_byte_is_an_error():
    for position in range(len(PACKED)):
        for flip in (1, 128):
            wrong = bytearray(PACKED)
            wrong[position] ^= flip
            with pytest.raises(FileFormatError):
                unpacked(bytes(wrong))


def test_a_file_cut_anywhere_is_an_error():
    for length in range(len(PACKED)):
        with pytest.raises(FileFormatError):
            unpacked(PACKED[:length])
    with pytest.raises(FileFormatError, match="checksum"):
        unpacked(PACKED + b"x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin with b'TFZP'"),
        (b"TFL3" * 20, "does not begin with b'TFZP'"),
        (PACKED[:4] + b"\x02" + PACKED[5:], "version 2 where 1 is known"),
        (PACKED[:-1] + bytes([PACKED[-1] ^ 1]), "checksum does not match"),
        (sealed(FILE, frames_of(PACKED), size=1 << 60), "claims to hold 1152921504606846976 bytes"),
        (sealed(FILE, frames_of(PACKED)[:3]), "a part of it is missing"),
        (sealed(FILE, frames_of(PACKED), digest=b"x" * 32), "is not what was packed"),
        (sealed(FILE, frames_of(PACKED), size=len(FILE) + 1), "is not what was packed"),
        (sealed(FILE, [b"nonsense", *frames_of(PACKED)[1:]]), "no zstandard frame"),
    ],
)
def test_what_is_wrong_is_said(data, message):
    with pytest.raises(FileFormatError, match=re.escape(message)):
        unpacked(data)


def test_a_frame_that_grows_without_end_is_stopped():
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 28))
    plan, tables, _, *rest = frames_of(PACKED)
    with pytest.raises(FileFormatError, match="holds more than"):
        unpacked(sealed(FILE, [plan, tables, bomb, *rest]))
    with pytest.raises(FileFormatError, match="holds more than"):
        unpacked(sealed(FILE, [bomb, tables, *rest]))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2), st.integers(0, 10_000), st.integers(1, 255))
def test_lies_in_a_file_with_a_right_checksum_are_errors_or_change_nothing(part, position, flip):
    frames = frames_of(PACKED)
    content = bytearray(zstandard.ZstdDecompressor().decompress(frames[part]))
    content[position % len(content)] ^= flip
    frames[part] = zstandard.ZstdCompressor().compress(bytes(content))
    with contextlib.suppress(FileFormatError):
        assert unpacked(sealed(FILE, frames)) == FILE
