"""What pruning has reached, kernel by kernel."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.units import format_fraction


@dataclass(frozen=True)
class KernelSparsity:
    """A variable's zeros, or why it has none.

    Attributes:
        path: Layer path and variable name.
        shape: The variable's shape.
        sparsity: The share of weights that are zero, counted.
        target: The share that its mask removes.
        skipped: Why the variable is left out; empty where it is pruned.
    """

    path: str
    shape: tuple[int, ...]
    sparsity: float = 0.0
    target: float = 0.0
    skipped: str = ""

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class PruningSummary:
    """The zeros of a model.

    Attributes:
        kernels: Every pruned kernel.
        left_out: Every variable that is not pruned, with the reason.
        target: The sparsity at which the schedule ends.
        reached: The sparsity at which the schedule stands.
    """

    kernels: tuple[KernelSparsity, ...]
    left_out: tuple[KernelSparsity, ...]
    target: float
    reached: float

    @property
    def sparsity(self) -> float:
        """The share of zeros over all pruned kernels together."""
        zeros = math.fsum(kernel.sparsity * kernel.size for kernel in self.kernels)
        return zeros / sum(kernel.size for kernel in self.kernels)

    def __str__(self) -> str:
        width = max(len(kernel.path) for kernel in (*self.kernels, *self.left_out))
        lines = [f"{'kernel':{width}}  {'shape':>18}  {'sparsity':>9}  {'target':>9}"]
        lines += [
            f"{kernel.path:{width}}  {_shape(kernel):>18}  {format_fraction(kernel.sparsity):>9}"
            f"  {format_fraction(kernel.target):>9}"
            for kernel in self.kernels
        ]
        lines += [
            f"{kernel.path:{width}}  {_shape(kernel):>18}  left out: {kernel.skipped}"
            for kernel in self.left_out
        ]
        return "\n".join([*lines, f"all pruned kernels: {format_fraction(self.sparsity)}"])


def zero_fraction(values: NDArray[Any]) -> float:
    """Returns the share of elements that are zero or False, in [0, 1]."""
    return 1.0 - int(np.count_nonzero(values)) / values.size


def _shape(kernel: KernelSparsity) -> str:
    return "x".join(map(str, kernel.shape))
