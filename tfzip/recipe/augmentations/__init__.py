"""What training samples go through: one augmentation per file."""

from tfzip.recipe.augmentations.augmentation import Augmentation, augmentations
from tfzip.recipe.augmentations.flip import FlipAugmentation
from tfzip.recipe.augmentations.noise import NoiseAugmentation
from tfzip.recipe.augmentations.shift import ShiftAugmentation

__all__ = ["Augmentation", "FlipAugmentation", "NoiseAugmentation", "ShiftAugmentation", "augmentations"]
