"""The data that scikit-learn carries in its package."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from tfzip.errors import MissingDependencyError, UnknownNameError
from tfzip.sources.datasets.dataset import TEST_FRACTION, Dataset, Inputs, datasets, split_rows

_DARKEST = 16.0


@datasets.register
@dataclass(frozen=True)
class SklearnDataset(Dataset):
    """`sklearn:digits`: 1,797 scanned digits of 8x8x1 values in [0, 1], no download.

    A fifth of every class, always the same rows, is the test split.

    Args:
        dataset: `"digits"`.
    """

    dataset: str = "digits"

    @classmethod
    def from_spec(cls, spec: str) -> Self | None:
        """Claims `sklearn:NAME`."""
        return cls(spec.removeprefix("sklearn:")) if spec.startswith("sklearn:") else None

    def load(self) -> Mapping[str, Inputs]:
        """Reads the images from the installed package."""
        if self.dataset != "digits":
            raise UnknownNameError("scikit-learn data set", self.dataset, ["digits"])
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise MissingDependencyError(
                "sklearn:digits needs scikit-learn, which is not installed."
                " Install it with: pip install 'tfzip[datasets]'"
            ) from error
        digits = load_digits()
        x = (digits.images[..., np.newaxis] / _DARKEST).astype(np.float32)
        y = digits.target.astype(np.int64)
        train, test = split_rows(y, len(y), TEST_FRACTION, seed=0)
        return {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
