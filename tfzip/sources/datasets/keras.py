"""The data sets of keras.datasets, from a local archive first."""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Self

from tfzip.errors import DataError, UnknownNameError
from tfzip.sources.datasets.dataset import Dataset, Inputs, datasets
from tfzip.sources.datasets.npz import NpzDataset

KERAS_NAMES = (
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
)


def data_folder() -> Path:
    """Returns the folder of local data sets: `$TFZIP_DATA`, or `~/.cache/tfzip/datasets`."""
    return Path(os.environ.get("TFZIP_DATA") or Path.home() / ".cache" / "tfzip" / "datasets").expanduser()


@datasets.register
@dataclass(frozen=True)
class KerasDataset(Dataset):
    """`keras:NAME`: a set of keras.datasets with its official split, raw values (images 0..255).

    `$TFZIP_DATA/NAME.npz` is read when it is there, so that machines without a network work too.

    Args:
        dataset: Name in keras.datasets, or of an archive in `$TFZIP_DATA`.
    """

    dataset: str

    @classmethod
    def from_spec(cls, spec: str) -> Self | None:
        """Claims `keras:NAME`."""
        return cls(spec.removeprefix("keras:")) if spec.startswith("keras:") else None

    def load(self) -> Mapping[str, Inputs]:
        """Reads the local archive, or lets Keras fetch the set into its own cache."""
        local = data_folder() / f"{Path(self.dataset).name}.npz"
        if local.exists():
            return NpzDataset(str(local)).load()
        if self.dataset not in KERAS_NAMES:
            raise UnknownNameError("Keras data set", self.dataset, KERAS_NAMES)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # progress of a download is not our output
                (x_train, y_train), (x_test, y_test) = import_module(
                    f"keras.datasets.{self.dataset}"
                ).load_data()
        except Exception as error:  # Keras raises plain Exception when the network fails
            raise DataError(
                f"keras:{self.dataset} could not be fetched: {error}. On a machine without a network put"
                f" x_train, y_train, x_test, y_test into {local}, or set TFZIP_DATA to the folder with it."
            ) from error
        return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
