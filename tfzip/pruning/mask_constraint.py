"""Masks as constraints on variables: the optimizer applies them inside the compiled step."""

from collections.abc import Callable
from typing import Any

import keras
import ml_dtypes


class MaskConstraint:
    """Sets weights to zero where a mask is False, after the constraint that was there before.

    A weight that stays but is exactly zero (a kernel initialised with zeros, a `NonNeg` constraint) becomes
    the smallest normal number of its type while training. So the zeros of a kernel *are* its mask at every
    moment, and a kernel read from a checkpoint tells its mask without a file of its own.

    Args:
        mask: A boolean variable of the kernel's shape. Changing it needs no new trace of the train step.
        inner: The constraint to apply first. Defaults to none.
        owner: What identifies the fit for which this was made. Defaults to none.
    """

    def __init__(self, mask: Any, inner: Callable[[Any], Any] | None = None, owner: Any = None) -> None:
        self.mask = mask
        self.inner = inner
        self.owner = owner

    def __call__(self, weights: Any) -> Any:
        """Returns the masked weights; zeros are exact also where a weight is not finite."""
        weights = keras.ops.convert_to_tensor(self.inner(weights) if self.inner else weights)
        zeros = keras.ops.zeros_like(weights)
        standing = zeros + smallest_normal(weights.dtype)
        kept = keras.ops.where(keras.ops.equal(weights, zeros), standing, weights)
        return keras.ops.where(self.mask, kept, zeros)


def smallest_normal(dtype: Any) -> float:
    """Returns the smallest positive number of a type that no processor flushes to zero."""
    limits = ml_dtypes.finfo(keras.backend.standardize_dtype(dtype))  # type: ignore[no-untyped-call]
    return float(limits.smallest_normal)
