"""Functions of the user's own, named as `package.module:function`."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def names_function(spec: str) -> bool:
    """Whether a string has the form `package.module:function`."""
    return _FUNCTION.fullmatch(spec) is not None


@contextmanager
def importable_from_here() -> Iterator[None]:
    """Lets modules of the current folder be imported inside the block."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
