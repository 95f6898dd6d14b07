"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """Gives a place beside a file to write to, and moves what is there into the file's place at the end.

    A block that raises leaves the target as it was and nothing beside it. A machine that stops leaves the old
    file or the new one, never a part.

    Args:
        target: The file to write; its folder exists.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
