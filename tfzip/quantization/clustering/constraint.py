"""Sharing as a constraint on a variable: the optimizer applies it inside the compiled step."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfzip.pruning.mask_constraint import MaskConstraint
from tfzip.quantization.clustering.rows import Rows
from tfzip.quantization.clustering.sharing import shared_by_channel, shared_by_kernel


class SharedConstraint:
    """Makes weights with one code equal, after the constraint that was there before.

    Args:
        variable: The kernel.
        rows: Which of its axes are channels.
        clusters: The most different codes.
        per_channel: Whether each channel has codes of its own.
        owner: What identifies the fit for which this was made.
    """

    def __init__(self, variable: Any, rows: Rows, clusters: int, *, per_channel: bool, owner: Any) -> None:
        self.inner: Callable[[Any], Any] | None = None
        self.owner = owner
        self.share = shared_by_channel if per_channel else shared_by_kernel
        self._variable = variable
        self._rows = rows
        self._clusters = clusters
        shape = (rows.channels, rows.per_channel)
        self.index = keras.Variable(np.zeros(shape, np.int32), dtype="int32", trainable=False)

    def __call__(self, weights: Any) -> Any:
        """Returns the shared weights."""
        weights = keras.ops.convert_to_tensor(self.inner(weights) if self.inner else weights)
        rows = keras.ops.cast(self._rows.of(weights), "float32")
        shared = self.share(rows, self.alive_index(), self._clusters)
        return keras.ops.cast(self._rows.kernel(shared), weights.dtype)

    def alive_index(self) -> Any:
        """Returns the codes, -1 also where a mask of pruning has come to lie since they were assigned."""
        index = self.index.value  # keras.ops.add takes a column for a bias where rows are square
        mask = mask_of(self._variable)
        if mask is None:
            return index
        return keras.ops.where(self._rows.of(keras.ops.convert_to_tensor(mask)), index, -1)


def mask_of(variable: Any) -> Any:
    """Returns the mask that pruning has put on a variable, or None."""
    constraint = variable.constraint
    return constraint.mask if isinstance(constraint, MaskConstraint) else None


def sharing_of(variable: Any) -> SharedConstraint | None:
    """Returns the sharing that lies on a variable, or None."""
    constraint = variable.constraint
    if isinstance(constraint, MaskConstraint):
        constraint = constraint.inner
    return constraint if isinstance(constraint, SharedConstraint) else None


def attach(variable: Any, sharing: SharedConstraint) -> None:
    """Puts sharing on a variable, below a mask: pruned weights are zero after it, not means."""
    outer = variable.constraint
    if isinstance(outer, MaskConstraint):
        sharing.inner, outer.inner = outer.inner, sharing
    else:
        sharing.inner, variable.constraint = outer, sharing


def detach(variable: Any) -> None:
    """Takes sharing off a variable, if it lies there."""
    sharing = sharing_of(variable)
    if sharing is None:
        return
    if variable.constraint is sharing:
        variable.constraint = sharing.inner
    else:
        variable.constraint.inner = sharing.inner
