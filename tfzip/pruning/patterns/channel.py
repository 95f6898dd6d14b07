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
    Channels are the last axis; of depthwise kernels with one result a channel, the last but one.
    """

    def unit(self, shape: tuple[int, ...]) -> int:
        """Returns the weights of a channel."""
        size = int(np.prod(shape))
        return size // shape[_axis(shape)]

    def mask(self, scores: NDArray[Any], sparsity: float) -> Mask:
        """Returns the mask; at most all channels but one go."""
        axis = _axis(scores.shape)
        others = tuple(place for place in range(scores.ndim) if place != axis)
        sums = scores.sum(axis=others, dtype=np.float64)
        kept = lowest(sums, min(round(sparsity * sums.size), sums.size - 1))
        along = [-1 if place == axis else 1 for place in range(scores.ndim)]
        return np.broadcast_to(kept.reshape(along), scores.shape).copy()


def _axis(shape: tuple[int, ...]) -> int:
    is_depthwise = len(shape) > 2 and shape[-1] == 1
    return len(shape) - 2 if is_depthwise else len(shape) - 1
