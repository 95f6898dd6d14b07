"""Of so many inputs that follow each other, only so many count: N:M sparsity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.given import is_whole
from tfzip.pruning.patterns.pattern import Mask, Pattern, lowest, nearest_divisor, patterns


@patterns.register
@dataclass(frozen=True)
class SemiStructuredPattern(Pattern):
    """Keeps at least `keep` of every `of` weights that follow each other along the inputs: 2:4, for example.

    Mishra et al. (2021), "Accelerating Sparse Deep Neural Networks". While sparsity grows, the lowest of the
    weights that the pattern removes in the end go first; at `1 - keep / of`, `keep` of every `of` stay.

    Args:
        keep: Weights that stay. Defaults to 2.
        of: Out of so many. Defaults to 4.
    """

    keep: int = 2
    of: int = 4

    def __post_init__(self) -> None:
        if not is_whole(self.keep, 1) or not is_whole(self.of, 1) or self.keep >= self.of:
            raise OptionError(
                "keep and of are whole numbers, keep at least 1 and below of. Received:"
                f" keep={self.keep!r}, of={self.of!r}."
            )

    def check(self, shape: tuple[int, ...], sparsity: float) -> None:
        """Raises `OptionError` if a kernel's inputs are no multiple, or the pattern has fewer zeros."""
        most = 1 - self.keep / self.of
        if sparsity > most:
            raise OptionError(
                f"{self.keep} of {self.of} leaves at most {most:g} of the weights zero. Received: sparsity"
                f" {sparsity:g}."
            )
        inputs = shape[-2] if len(shape) > 1 else shape[0]
        if inputs % self.of:
            near = nearest_divisor(inputs, self.of)
            message = f"groups of {self.of} do not divide {inputs} input{'s' * (inputs != 1)}. "
            if near > self.keep:
                message += f"The nearest that do are groups of {near}. Choose of={near}, or leave"
            else:
                message += "Leave"
            raise OptionError(f"{message} the layer out with layers=.")

    def mask(self, scores: NDArray[Any], sparsity: float) -> Mask:
        """Returns the mask.

        Raises:
            OptionError: The pattern does not fit the scores, or has fewer zeros.
        """
        self.check(scores.shape, sparsity)
        columns = scores.shape[-1] if scores.ndim > 1 else 1
        groups = scores.reshape(-1, self.of, columns)
        rank = np.argsort(np.argsort(groups, axis=1, kind="stable"), axis=1)
        may_go = rank < self.of - self.keep
        ranked = np.where(may_go, groups.astype(np.float64), np.inf)
        count = min(round(sparsity * scores.size), int(np.count_nonzero(may_go)))
        return lowest(ranked, count).reshape(scores.shape)
