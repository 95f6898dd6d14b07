"""Reads files in a child process with a deadline and a cap on memory, so that none can hurt the caller."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfzip.errors import FileFormatError, SandboxError, one_line
from tfzip.sandbox import Sandbox

MEMORY_BYTES = 6 << 30
TIMEOUT_S = 60.0


@contextmanager
def reading_child(child: Sandbox | None) -> Iterator[Sandbox]:
    """Gives the child to work in: the one that there is, or one for this block alone."""
    if child is not None:
        yield child
        return
    with Sandbox(timeout_s=TIMEOUT_S, memory_bytes=MEMORY_BYTES) as own:
        yield own


def read_in(child: Sandbox, target: str, path: str) -> Any:
    """Returns what a function makes of a file in a child.

    Raises:
        FileFormatError: The file cannot be read, or the child ended over it.
    """
    try:
        return child.call(target, path)
    except SandboxError as error:
        reason = one_line(error).rstrip(".")
        raise FileFormatError(f"{path} cannot be read: {reason}. Export or copy it again.") from error
