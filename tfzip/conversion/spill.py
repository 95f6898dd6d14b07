"""Arrays on disk, for a child process to map instead of copy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def spilled(samples: Mapping[str, NDArray[Any]], folder: Path) -> tuple[tuple[str, str], ...]:
    """Writes arrays into a folder; returns the name and the .npy file of each."""
    files = []
    for position, (name, array) in enumerate(samples.items()):
        file = folder / f"calibration_{position}.npy"
        np.save(file, array)
        files.append((name, str(file)))
    return tuple(files)
