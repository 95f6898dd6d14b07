"""Arrays in a NumPy archive."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from tfzip.errors import DataError, did_you_mean
from tfzip.sources.datasets.dataset import Array, Dataset, Inputs, datasets


@datasets.register
@dataclass(frozen=True)
class NpzDataset(Dataset):
    """A .npz file: `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

    An archive with none of these names gives one array for each input of the model, `y` apart. `x=` and `y=`
    choose arrays of other names: `engine.npz#x=train,y=rul`.

    Args:
        path: The archive.
        x: Name of the array that is the input. Defaults to the names above.
        y: Name of the array that is the target. Defaults to the names above.
    """

    path: str
    x: str = ""
    y: str = ""

    @classmethod
    def from_spec(cls, spec: str) -> Self | None:
        """Claims strings that end in .npz."""
        return cls(spec) if spec.endswith(".npz") else None

    def load(self) -> Mapping[str, Inputs]:
        """Reads the archive."""
        arrays = read_npz(Path(self.path))
        if self.x or self.y:
            chosen = {"x": self.x or "x"} | ({"y": self.y} if self.y else {})
            for name in chosen.values():
                if name not in arrays:
                    near = did_you_mean(name, arrays)
                    raise DataError(f"{self.path} has no array {name!r}.{near} It has: {', '.join(arrays)}.")
            return {key: arrays[name] for key, name in chosen.items()}
        return dict(arrays)


def read_npz(path: Path) -> dict[str, Array]:
    """Returns every array of an archive by name; never runs code from the file.

    Raises:
        DataError: The file is missing, damaged, empty, or holds pickled objects.
    """
    try:
        with path.expanduser().open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"There is no data file {path}. Check the path.") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a NumPy archive: {error}."
            " Expected arrays of numbers written by numpy.savez."
        ) from error
    if not arrays:
        raise DataError(f"{path} holds no array. Expected x and y, or x_train, y_train, x_test, y_test.")
    return arrays
