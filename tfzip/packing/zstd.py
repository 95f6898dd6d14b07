"""The one door to zstandard."""

import io
from typing import Any

from tfzip.errors import FileFormatError, MissingDependencyError

_BEST = 22
_MAX_WINDOW_BYTES = 1 << 27
_PIECE_BYTES = 1 << 20


def compressed(data: bytes) -> bytes:
    """Returns one zstandard frame at the best level."""
    frame: bytes = _zstandard().ZstdCompressor(level=_BEST).compress(data)
    return frame


def decompressed(frame: bytes, most_bytes: int) -> bytes:
    """Returns what a frame holds. Room is made for what comes out of it, not for what it claims.

    Args:
        frame: A zstandard frame.
        most_bytes: The largest content to take.

    Raises:
        FileFormatError: It is damaged, or holds more.
    """
    zstandard = _zstandard()
    content = io.BytesIO()
    try:
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        for piece in decoder.read_to_iter(frame, write_size=_PIECE_BYTES):
            content.write(piece)
            if content.tell() > most_bytes:
                raise FileFormatError(f"a part of it holds more than the {most_bytes} bytes that are left")
    except zstandard.ZstdError as error:
        raise FileFormatError(f"a part of it is no zstandard frame ({error})") from error
    return content.getvalue()


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise MissingDependencyError(
            "Packing needs zstandard, which is not installed. Install it: pip install 'tfzip[pack]'"
        ) from None
    return zstandard
