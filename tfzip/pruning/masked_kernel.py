"""Kernels under masks: attaching, reading, writing, and putting back what was there."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.fit_step import forget_steps, recompile
from tfzip.pruning.kernels import Kernel
from tfzip.pruning.mask_constraint import MaskConstraint, smallest_normal


class MaskedKernel:
    """A kernel under a mask, from attaching the constraint to putting the old one back.

    Args:
        kernel: What to mask. At first every weight stays.
        owner: What identifies the fit; two masks of one fit may not meet on a kernel.
        distribute_strategy: The model's `tf.distribute` strategy, in whose scope the mask is created.

    Raises:
        OptionError: Another callback of this fit already prunes the kernel.
    """

    def __init__(self, kernel: Kernel, owner: Any, distribute_strategy: Any) -> None:
        previous = kernel.variable.constraint
        if isinstance(previous, MaskConstraint):
            if previous.owner is owner:
                raise OptionError(
                    f"Two PruningCallbacks prune {kernel.path!r}. Give them layers= that do not overlap."
                )
            previous = previous.inner  # left over from a fit that was interrupted
        self.path = kernel.path
        self.variable = kernel.variable
        self.layout = kernel.layout
        with distribute_strategy.scope():
            mask = keras.Variable(np.ones(kernel.variable.shape, np.bool_), dtype="bool", trainable=False)
        self.constraint = MaskConstraint(mask, previous, owner)
        self.variable.constraint = self.constraint

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where a weight stays."""
        return np.asarray(self.constraint.mask.numpy())

    def read(self) -> NDArray[Any]:
        """Returns the weights."""
        return np.asarray(self.variable.numpy())

    def write(self, mask: NDArray[np.bool_]) -> None:
        """Changes the mask and applies it at once."""
        self.constraint.mask.assign(mask)
        self.enforce()

    def enforce(self) -> None:
        """Applies the mask outside the train step, such as after weights have been averaged or restored."""
        self.variable.assign(self.constraint(self.variable))

    def release(self) -> None:
        """Puts the old constraint back, and true zeros in place of the stand-ins for zero."""
        if self.variable.constraint is self.constraint:
            release(self.variable)


def release(variable: Any) -> None:
    """Takes a mask off a variable; what is zero stays zero."""
    variable.constraint = variable.constraint.inner
    weights = np.array(variable.numpy())
    weights[weights == smallest_normal(variable.dtype)] = 0
    variable.assign(weights)


def release_all(model: keras.Model, kernels: Iterable[MaskedKernel]) -> None:
    """Takes masks off kernels and lets the next fit compile a step without them."""
    for kernel in kernels:
        kernel.release()
    forget_steps(model)


def release_on_error(model: keras.Model) -> None:
    """Compiles a new train step, with the masks in it, that takes every mask off when it fails.

    The step of an earlier fit was compiled without masks.
    """

    def release_masks() -> None:
        for variable in model.weights:
            if isinstance(variable.constraint, MaskConstraint):
                release(variable)
        forget_steps(model)

    recompile(model, on_error=release_masks)
