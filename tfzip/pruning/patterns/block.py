"""Weights that lie side by side go together, so that a kernel can skip them as a whole."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.given import is_whole
from tfzip.pruning.patterns.pattern import Mask, Pattern, lowest, nearest_divisor, patterns


@patterns.register
@dataclass(frozen=True)
class BlockPattern(Pattern):
    """Removes blocks of inputs by outputs, of dense kernels and at each place of convolution kernels.

    Narang et al. (2017), "Block-Sparse Recurrent Neural Networks". Blocks tile the last two axes of a kernel;
    the sum of a block's scores decides.

    Args:
        shape: Inputs and outputs of a block. Defaults to 1 by 4.
    """

    shape: tuple[int, int] = (1, 4)

    def __post_init__(self) -> None:
        sizes: Any = self.shape
        if isinstance(sizes, list):
            object.__setattr__(self, "shape", sizes := tuple(sizes))
        if not isinstance(sizes, tuple) or len(sizes) != 2 or not all(is_whole(one, 1) for one in sizes):
            raise OptionError(
                f"The shape of a block is inputs and outputs, such as (1, 4). Received: {self.shape!r}."
            )

    def unit(self, shape: tuple[int, ...]) -> int:  # noqa: ARG002
        """Returns the weights of a block."""
        return prod(self.shape)

    def check(self, shape: tuple[int, ...], sparsity: float) -> None:  # noqa: ARG002
        """Raises `OptionError` if blocks do not tile a kernel."""
        inner = shape[-2:] if len(shape) > 1 else (1, *shape)
        if inner[0] % self.shape[0] or inner[1] % self.shape[1]:
            near = tuple(nearest_divisor(*pair) for pair in zip(inner, self.shape, strict=True))
            raise OptionError(
                f"blocks of {self.shape[0]} by {self.shape[1]} do not tile {inner[0]} inputs by {inner[1]}"
                f" outputs. The nearest that do are {near[0]} by {near[1]}. Choose them, or leave the layer"
                " out with layers=."
            )

    def mask(self, scores: NDArray[Any], sparsity: float) -> Mask:
        """Returns the mask; at most all blocks but one go.

        Raises:
            OptionError: Blocks do not tile the scores.
        """
        self.check(scores.shape, sparsity)
        rows, columns = self.shape
        inputs, outputs = scores.shape[-2:] if scores.ndim > 1 else (1, scores.size)
        tiles = scores.reshape(-1, inputs // rows, rows, outputs // columns, columns)
        sums = tiles.sum(axis=(2, 4), dtype=np.float64)
        kept = lowest(sums, min(round(sparsity * sums.size), sums.size - 1))
        return np.broadcast_to(kept[:, :, None, :, None], tiles.shape).reshape(scores.shape)
