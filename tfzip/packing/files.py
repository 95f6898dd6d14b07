"""Packing and unpacking files."""

import os
from pathlib import Path

from tfzip.errors import FileFormatError, OptionError
from tfzip.files import written_beside
from tfzip.packing.buffers import weight_buffers
from tfzip.packing.container import MAX_BYTES, packed, unpacked
from tfzip.tflite import read

SUFFIX = ".tfzp"


def pack(path: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Writes a .tflite in a form that is small to download; `unpack` gives back the same bytes.

    Weights that take few different values, as after `ClusteringCallback`, are written as a codebook and
    indices. No runtime reads the packed form: it is unpacked on the device before the first use.

    Args:
        path: A .tflite.
        out: What to write. Defaults to None: the name of the file with the ending `.tfzp`.

    Returns:
        The packed file.

    Raises:
        FileFormatError: The file is no .tflite, is damaged, or larger than 2 GiB.
        OptionError: `out` is the file itself, or cannot be written.
        MissingDependencyError: zstandard is not installed.
    """
    target = _target(path, out, SUFFIX)
    graph = read(path)
    if graph.size_bytes > MAX_BYTES:
        raise FileFormatError(f"{path} has {graph.size_bytes} bytes. Files of up to {MAX_BYTES} are packed.")
    data = Path(path).read_bytes()
    result = packed(data, weight_buffers(graph))
    if unpacked(result) != data:
        raise FileFormatError(f"{path} did not survive packing. Nothing was written; please report it.")
    return _written(target, result)


def unpack(path: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Writes the .tflite that was packed, the same in every byte.

    Args:
        path: What `pack` wrote.
        out: What to write. Defaults to None: the name of the file with the ending `.tflite`.

    Returns:
        The .tflite.

    Raises:
        FileFormatError: The file was not written by `pack`, or is damaged in any byte.
        OptionError: `out` is the file itself, or cannot be written.
        MissingDependencyError: zstandard is not installed.
    """
    target = _target(path, out, ".tflite")
    try:
        return _written(target, unpacked(Path(path).read_bytes()))
    except FileFormatError as error:
        raise FileFormatError(
            f"{path} is no packed file or is damaged: {error}. Download or pack it again."
        ) from error
    except FileNotFoundError:
        raise FileFormatError(f"{path} does not exist. Give the path of a packed file.") from None


def _target(path: str | os.PathLike[str], out: str | os.PathLike[str] | None, suffix: str) -> Path:
    target = Path(path).with_suffix(suffix) if out is None else Path(out)
    if target.resolve() == Path(path).resolve():
        raise OptionError(f"{path} would be overwritten by its own result. Give another name to write to.")
    return target


def _written(target: Path, data: bytes) -> Path:
    try:
        with written_beside(target) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise OptionError(
            f"{target} cannot be written: {error.strerror}. Free space or choose a folder you may write to."
        ) from error
    return target
