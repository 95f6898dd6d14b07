"""Samples get noise on top."""

from dataclasses import dataclass

import numpy as np

from tfzip.errors import OptionError
from tfzip.recipe.augmentations.augmentation import Augmentation, augmentations
from tfzip.sources.datasets.dataset import Array


@augmentations.register
@dataclass(frozen=True)
class NoiseAugmentation(Augmentation):
    """Adds normally distributed noise to every value.

    Args:
        deviation: Its standard deviation, in units of the inputs. Defaults to 0.05.
    """

    deviation: float = 0.05

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise OptionError(f"deviation is above 0. Received: {self.deviation}.")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """Returns a changed batch."""
        noise: Array = rng.normal(scale=self.deviation, size=x.shape).astype(x.dtype)
        return np.add(x, noise)
