"""All weights that make one output go together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.patterns.pattern import Mask, Pattern, lowest, patterns


@patterns.register
@dataclass(frozen=True)
class ChannelPattern(Pattern):
    """Removes whole output channels of each kernel, which stay in place as zeros.

    A kernel is looked at by itself, not in its network; `tfzip.remove_channels` takes channels away.
    """

    def unit(self, shape: tuple[int, ...]) -> int:
        """Returns the weights of a channel."""
        return int(np.prod(shape)) // shape[-1]

    def mask(self, scores: NDArray[Any], sparsity: float) -> Mask:
        """Returns the mask; at most all channels but one go."""
        sums = scores.reshape(-1, scores.shape[-1]).sum(axis=0, dtype=np.float64)
        kept = lowest(sums, min(round(sparsity * sums.size), sums.size - 1))
        return np.broadcast_to(kept, scores.shape).copy()
