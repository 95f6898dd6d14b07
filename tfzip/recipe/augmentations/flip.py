"""Every other sample is mirrored."""

from dataclasses import dataclass

import numpy as np

from tfzip.recipe.augmentations.augmentation import Augmentation, augmentations, check_positions
from tfzip.sources.datasets.dataset import Array


@augmentations.register
@dataclass(frozen=True)
class FlipAugmentation(Augmentation):
    """Mirrors each sample with a chance of one half, along the axis before the channels: images sideways."""

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Returns a changed batch."""
        check_positions("flip", x)
        mirrored = rng.random(len(x)) < 0.5
        return np.where(mirrored.reshape(-1, *[1] * (x.ndim - 1)), np.flip(x, -2), x)
