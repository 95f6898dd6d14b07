"""The base of all augmentations and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from tfzip.errors import DataError
from tfzip.registry import Registry
from tfzip.sources.datasets.dataset import Array


@dataclass(frozen=True)
class Augmentation(ABC):
    """A change of training samples that leaves their targets as they are."""

    @abstractmethod
    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Returns a changed batch.

        Args:
            x: Samples, shape (batch, ..., channels); it is not written to.
            rng: What is drawn is drawn from it.

        Returns:
            The same shape and type.

        Raises:
            DataError: Such samples have not the axes that it changes.
        """


def check_positions(name: str, x: Array) -> None:
    """Raises `DataError` unless samples have positions before their channels."""
    if x.ndim < 3:
        raise DataError(
            f"Augmentation {name!r} is for samples with positions and channels. Received samples of shape"
            f" {x.shape[1:]}."
        )


augmentations: Registry[Augmentation] = Registry("Augmentation")
