"""How large a file is on the device and on the way there."""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from tfzip.errors import FileFormatError
from tfzip.packing.buffers import weight_buffers
from tfzip.packing.container import packed
from tfzip.tflite import read

_BEST, _RAW = 9, -15
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class SizeReport:
    """The sizes of a .tflite.

    Attributes:
        device_bytes: On the device, where it is run from.
        deflate_bytes: In an APK or zip archive, which compress with DEFLATE.
        packed_bytes: As `tfzip.pack` writes it.
    """

    device_bytes: int
    deflate_bytes: int
    packed_bytes: int


def size_report(path: str | os.PathLike[str]) -> SizeReport:
    """Measures a .tflite on the device, in an APK, and packed. Nothing is written.

    Args:
        path: A .tflite.

    Raises:
        FileFormatError: The file is no .tflite or is damaged.
        MissingDependencyError: zstandard is not installed.
    """
    graph = read(path)
    result = packed(Path(path).read_bytes(), weight_buffers(graph))
    return SizeReport(graph.size_bytes, deflate_bytes(path), len(result))


def deflate_bytes(path: str | os.PathLike[str]) -> int:
    """Returns the bytes that a file takes in an APK: raw DEFLATE at its best level, without zip's names.

    Raises:
        FileFormatError: The file cannot be read.
    """
    deflate, size = zlib.compressobj(_BEST, zlib.DEFLATED, _RAW), 0
    try:
        with Path(path).open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                size += len(deflate.compress(piece))
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}. Give the path of a file.") from None
    return size + len(deflate.flush())
