"""A folder with one subfolder of images for each class."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfzip.errors import DataError, MissingDependencyError
from tfzip.sources.datasets.dataset import SPLITS, Array, Dataset, Inputs, datasets

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


@datasets.register
@dataclass(frozen=True)
class FolderDataset(Dataset):
    """A folder of images: `cats/1.png`, `dogs/7.jpg`, or the same below `train/`, `val/` and `test/`.

    Classes are numbered in the alphabetical order of their names. Values are 0..255.

    Args:
        path: The folder.
        size: Height and width that every image is resized to, as `96x96` in a string. Defaults to the input
            of the model where one is known.
        grayscale: One channel instead of three. Defaults to False.
    """

    path: str
    size: tuple[int, int] | None = None
    grayscale: bool = False

    @classmethod
    def from_spec(cls, spec: str) -> Self | None:
        """Claims folders that exist."""
        return cls(spec) if Path(spec).expanduser().is_dir() else None

    def load(self) -> Mapping[str, Inputs]:
        """Decodes and resizes every image."""
        if self.size is None:
            raise DataError(
                f"The images of {self.path} need one size. Give height and width: {self.path}#size=96x96"
            )
        root = Path(self.path).expanduser()
        splits = [name for name in SPLITS if (root / name).is_dir()]
        if not splits:
            x, y = self._read(root, _classes(root))
            return {"x": x, "y": y}
        classes = _classes(root / splits[0])
        arrays: dict[str, Inputs] = {}
        for name in splits:
            arrays[f"x_{name}"], arrays[f"y_{name}"] = self._read(root / name, classes)
        return arrays

    def _read(self, root: Path, classes: list[str]) -> tuple[Array, Array]:
        found = [name for name in _classes(root) if name not in classes]
        if found:
            raise DataError(
                f"{root} has the class {found[0]!r}, which the first split lacks: {', '.join(classes)}."
            )
        images, labels = [], []
        for label, name in enumerate(classes):
            for file in sorted((root / name).rglob("*")):
                if file.suffix.lower() in _SUFFIXES:
                    images.append(self._decode(file))
                    labels.append(label)
        if not images:
            raise DataError(
                f"{root} holds no image. Expected one folder per class with {', '.join(sorted(_SUFFIXES))}."
            )
        return np.stack(images), np.asarray(labels, np.int64)

    def _decode(self, file: Path) -> Array:
        pillow = _pillow()
        height, width = self.size or (0, 0)
        try:
            with pillow.open(file) as image:
                pixels = image.convert("L" if self.grayscale else "RGB")
                resized = np.asarray(pixels.resize((width, height), pillow.Resampling.BILINEAR))
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises on damaged images
            raise DataError(f"{file} cannot be read as an image: {error}. Repair or remove it.") from error
        return resized[..., np.newaxis] if self.grayscale else resized


def _classes(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "A folder of images needs Pillow, which is not installed."
            " Install it with: pip install 'tfzip[images]'"
        ) from error
    return Image
