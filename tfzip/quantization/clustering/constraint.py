"""Sharing as a constraint on a variable: the optimizer applies it inside the compiled step."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfzip.pruning.mask_constraint import MaskConstraint
from tfzip.quantization.clustering.rows import Rows
from tfzip.quantization.clustering.sharing import (
    reassigned_by_channel,
    reassigned_by_kernel,
    shared_by_channel,
    shared_by_kernel,
)


class SharedConstraint:
    """Makes weights with one code equal, after the constraint that was there before.

    While codes move, what sharing takes off a weight is kept and added again before the next sharing, and
    every weight takes the code that is then nearest: sharing is rounding with straight-through gradients
    (Courbariaux et al. 2015, "BinaryConnect", algorithm 1, keeps the weights that are not rounded; here
    they are the shared weights and what was taken off).

    Args:
        variable: The kernel.
        rows: Which of its axes are channels.
        clusters: The most different codes.
        per_channel: Whether each channel has codes of its own.
        owner: What identifies the fit for which this was made.

    Attributes:
        moving: Whether weights may change their codes; read when the step is traced.
    """

    def __init__(self, variable: Any, rows: Rows, clusters: int, *, per_channel: bool, owner: Any) -> None:
        self.inner: Callable[[Any], Any] | None = None
        self.owner = owner
        self.moving = True
        self._share = shared_by_channel if per_channel else shared_by_kernel
        self._reassigned = reassigned_by_channel if per_channel else reassigned_by_kernel
        self._variable = variable
        self._rows = rows
        self._clusters = clusters
        shape = (rows.channels, rows.per_channel)
        self._index = _state(np.zeros(shape, np.int32))
        self._taken_off = _state(np.zeros(shape, np.float32))

    def __call__(self, weights: Any) -> Any:
        """Returns the shared weights."""
        weights = whole = keras.ops.convert_to_tensor(weights)
        if self.moving:
            whole = weights + keras.ops.cast(self._rows.kernel(self._taken_off.value), weights.dtype)
        if self.inner:
            whole = self.inner(whole)
        rows, index = keras.ops.cast(self._rows.of(whole), "float32"), self.alive_index()
        if self.moving:
            index = self._reassigned(rows, index, self._clusters)
        return keras.ops.cast(self.shared(rows, index), weights.dtype)

    def shared(self, rows: Any, index: Any) -> Any:
        """Returns the kernel in which weights with one code are equal, and keeps the codes.

        Args:
            rows: Weights: (channels, weights of a channel).
            index: Codes, of the same shape; -1 where a weight is zero.
        """
        shared = self._share(rows, index, self._clusters)
        self._index.assign(index)
        self._taken_off.assign(keras.ops.where(index >= 0, rows - shared, 0.0))
        return self._rows.kernel(shared)

    def alive_index(self) -> Any:
        """Returns the codes, -1 also where a mask of pruning has come to lie since they were assigned."""
        index = self._index.value  # keras.ops.add takes a column for a bias where rows are square
        mask = mask_of(self._variable)
        if mask is None:
            return index
        return keras.ops.where(self._rows.of(keras.ops.convert_to_tensor(mask)), index, -1)


def _state(values: np.ndarray) -> keras.Variable:
    """Returns a variable for what all replicas compute alike."""
    dtype = values.dtype.name
    return keras.Variable(values, dtype=dtype, trainable=False, aggregation="only_first_replica")


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
