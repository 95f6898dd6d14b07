"""The base of data sources, their registry, and the split that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfzip.registry import Registry

Array = NDArray[Any]
Inputs = Array | dict[str, Array]
"""One array, or one for each input of a model by the input's name; rows along the first axis."""

datasets: Registry["Dataset"] = Registry("Dataset")

SPLITS = ("train", "val", "test")
TEST_FRACTION = 0.2


class Dataset(ABC):
    """A place that arrays come from; its fields say where it is and what to take from it."""

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: str) -> Self | None:
        """Returns the source that a string names, or None when the string names another kind of source."""

    @abstractmethod
    def load(self) -> Mapping[str, Inputs]:
        """Reads the arrays.

        Returns:
            `x` and perhaps `y` for data without splits; otherwise `x_train`, `y_train`, `x_test`, `y_test`
            and perhaps `x_val`, `y_val`. Without any `x`, every array but `y` is the input of the model that
            has its name. Values are as stored; `load_data` checks and converts them.

        Raises:
            DataError: What is named is missing or cannot be read.
        """


def split_rows(labels: Array | None, num_rows: int, fraction: float, seed: int) -> tuple[Array, Array]:
    """Divides rows in two, the same way for the same seed, with every class in the same proportion.

    Args:
        labels: Class of each row, an integer vector; anything else is split without regard to it.
        num_rows: How many rows there are.
        fraction: Part of the rows held out, in [0, 1).
        seed: Seed of the shuffle.

    Returns:
        Sorted indices of the rows kept and of the rows held out.
    """
    rng = np.random.default_rng(seed)
    is_class = labels is not None and labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    classes = labels if is_class and labels is not None else np.zeros(num_rows, np.int64)
    held = []
    for value in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == value))
        held.append(rows[: round(len(rows) * fraction)])
    is_held = np.zeros(num_rows, bool)
    is_held[np.concatenate(held)] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
