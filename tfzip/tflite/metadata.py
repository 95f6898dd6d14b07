"""What tfzip writes into a file about itself: version, scheme, recipe, digest of the source.

It is one entry named `tfzip` in the flatbuffer's metadata table, a JSON object of strings that runtimes
ignore.
"""

import json
import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

from tfzip.errors import FileFormatError, OptionError
from tfzip.files import written_beside
from tfzip.tflite.flat import IDENTIFIER, Bytes, Table, root_of
from tfzip.tflite.front import ALIGNMENT, MARK, front_of
from tfzip.tflite.reader import damaged, open_bytes

ENTRY = "tfzip"
_BUFFERS, _METADATA = 4, 6


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns what tfzip wrote into a file; empty for a file it did not export.

    Raises:
        FileFormatError: The file is no .tflite, is damaged, or its entry is no JSON object of strings.
    """
    data = open_bytes(path)
    try:
        model = root_of(data)
        for entry in model.tables(_METADATA):
            if entry.text(0) == ENTRY:
                return _parsed(_content(model, entry.number(1, "I")))
    except FileFormatError as error:
        raise damaged(path, error) from error
    return {}


def write_metadata(path: str | os.PathLike[str], mapping: Mapping[str, str]) -> None:
    """Replaces what tfzip wrote into a file, and nothing else: all that the converter wrote keeps its bytes.

    The file is written beside itself and moved into place, so a failure leaves it as it was. Memory does not
    grow with its size, and writing again does not make it grow.

    Args:
        path: A .tflite.
        mapping: Strings by name.

    Raises:
        OptionError: A key or value is no string.
        FileFormatError: The file is no .tflite, is damaged, keeps weights outside its flatbuffer, or cannot
            be written.
    """
    for key, value in mapping.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise OptionError(
                f"Metadata are strings by name. Received: {key!r}: {value!r}. Convert it with str()."
            )
    text = json.dumps(dict(mapping), ensure_ascii=False, separators=(",", ":")).encode()
    target = Path(path).resolve()
    data = open_bytes(target)
    try:
        body = _body_offset(data)
        model = root_of(Bytes(data.view[body:]))
        _require_inside(model)
        front = front_of(model, ENTRY, text)
    except FileFormatError as error:
        raise damaged(path, error) from error
    _replace(target, front, body)


def _content(model: Table, index: int) -> bytes:
    positions = model.positions(_BUFFERS)
    if index >= len(positions):
        raise FileFormatError(f"its metadata name buffer {index} of {len(positions)}")
    buffer = Table.at(model.data, positions[index])
    return buffer.array(0, "u1").tobytes()


def _parsed(text: bytes) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise FileFormatError("its entry 'tfzip' is no JSON object of strings")
    return found


def _body_offset(data: Bytes) -> int:
    """Returns where the converter's file begins: past the front of an earlier call, or 0."""
    if data.size < 16 or bytes(data.view[8:12]) != MARK:
        return 0
    (size,) = struct.unpack_from("<I", data.view, 12)
    is_front = size % ALIGNMENT == 0 and bytes(data.view[size + 4 : size + 8]) == IDENTIFIER
    return int(size) if is_front else 0


def _require_inside(model: Table) -> None:
    """Refuses weights given by their place in the file, which a new front would move."""
    if any(buffer.number(1, "Q") > 1 for buffer in model.tables(_BUFFERS)):
        raise FileFormatError(
            "it keeps weights outside its flatbuffer (past 2 GB), where metadata cannot be added"
        )


def _replace(target: Path, front: bytes, body: int) -> None:
    """Writes the front and the body beside the file, then moves the result into its place."""
    try:
        with written_beside(target) as partial:
            with partial.open("wb") as out, target.open("rb") as source:
                out.write(front)
                source.seek(body)
                shutil.copyfileobj(source, out, 1 << 20)
            shutil.copymode(target, partial)
    except OSError as error:
        raise FileFormatError(
            f"{target} cannot be signed: {error.strerror}. Free space or choose a folder you may write to."
        ) from error
