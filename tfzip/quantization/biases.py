"""Adding to the result of a weighted operation, wherever its layer has a place for it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.quantization.weighted import WeightGroup


def has_shift(group: WeightGroup) -> bool:
    """Whether a layer can add a number to each channel: a bias, or a normalization with an offset."""
    return bool(group.norm.center) if group.norm is not None else group.bias is not None


def shift(group: WeightGroup, amount: NDArray[np.float32]) -> None:
    """Adds a number to each channel of the folded result; `has_shift(group)` holds.

    Args:
        group: The operation; its bias or the offset of its normalization is changed.
        amount: What to add: (channels,).
    """
    variable: Any = group.norm.beta if group.norm is not None else group.bias
    variable.assign(np.asarray(variable, np.float32) + group.unfolded_bias(amount))
