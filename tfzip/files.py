"""Files that are whole or not there."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfzip.errors import OptionError


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """Gives a place beside a file to write to, and moves what is there into the file's place at the end.

    A block that raises leaves the target as it was and nothing beside it. A machine that stops leaves the old
    file or the new one, never a part. Processes and threads may write the same file; the last one wins.

    Args:
        target: The file to write; its folder exists.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(target: Path, content: str) -> Path:
    """Writes a file that is whole or as it was, and returns its path.

    Raises:
        OptionError: It cannot be written.
    """
    try:
        with written_beside(target) as partial:
            partial.write_text(content, encoding="utf-8")
    except OSError as error:
        raise OptionError(f"{target} cannot be written: {error.strerror}. Choose another.") from error
    return target


def cache_folder(name: str) -> Path:
    """Returns a folder for what can be made again: under `$XDG_CACHE_HOME/tfzip` or `~/.cache/tfzip`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "tfzip" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_target(path: str | os.PathLike[str]) -> Path:
    """Returns the target's path, or raises `OptionError` when no file can be written there."""
    target = Path(path)
    if target.is_dir():
        raise OptionError(
            f"{target} is a folder. Expected the path of a file, for example {target / 'report.json'}."
        )
    if not target.parent.is_dir():
        raise OptionError(f"There is no folder {target.parent} for {target.name}. Create it first.")
    if not os.access(target.parent, os.W_OK):
        raise OptionError(f"The folder {target.parent} cannot be written. Choose another target.")
    return target
