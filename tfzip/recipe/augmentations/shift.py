"""Samples are moved, and what comes in is zero."""

from dataclasses import dataclass

import numpy as np

from tfzip.errors import OptionError
from tfzip.recipe.augmentations.augmentation import Augmentation, augmentations, check_positions
from tfzip.sources.datasets.dataset import Array


@augmentations.register
@dataclass(frozen=True)
class ShiftAugmentation(Augmentation):
    """Moves each sample along every axis between batch and channels, by whole steps of the same chance.

    For images, the padding and cropping of He et al. (2016), section 4.2.

    Args:
        most: By how many pixels, or steps in time. Defaults to 4.
    """

    most: int = 4

    def __post_init__(self) -> None:
        if self.most < 1:
            raise OptionError(f"most is at least 1. Received: {self.most}.")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Returns a changed batch."""
        check_positions("shift", x)
        for axis in range(1, x.ndim - 1):
            padded = np.pad(x, [(self.most, self.most) if one == axis else (0, 0) for one in range(x.ndim)])
            starts = rng.integers(0, 2 * self.most + 1, len(x))
            taken = starts[:, None] + np.arange(x.shape[axis])
            shape = [len(x) if one == 0 else x.shape[axis] if one == axis else 1 for one in range(x.ndim)]
            x = np.take_along_axis(padded, taken.reshape(shape), axis)
        return x
