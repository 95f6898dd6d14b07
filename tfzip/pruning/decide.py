"""Which weights stay: a pure function from kernels to masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.criteria import WeightCriterion
from tfzip.pruning.layout import KernelLayout
from tfzip.pruning.patterns import ElementPattern, Pattern

SCOPES = ("layer", "global")


def choose_masks(
    kernels: Sequence[NDArray[Any]],
    sparsity: float,
    *,
    criterion: WeightCriterion,
    pattern: Pattern,
    scope: str,
    starts: Sequence[NDArray[Any]] | None = None,
    layouts: Sequence[KernelLayout] | None = None,
) -> list[NDArray[np.bool_]]:
    """Returns a mask for each kernel.

    The result depends on nothing but the arguments. Deciding again on kernels whose zeros are those of a
    mask, at the same sparsity, gives the same mask: zeros score lowest.

    Args:
        kernels: Weights, one array per kernel.
        sparsity: The share of zeros wanted, in [0, 1).
        criterion: How much each weight matters.
        pattern: Which weights may go together.
        scope: `"layer"` gives each kernel this sparsity, `"global"` gives it to all kernels together.
        starts: The kernels before training, for criteria that compare. Defaults to None.
        layouts: Where each kernel has its inputs and outputs. Defaults to the last two axes.

    Returns:
        Masks in the order and shapes of the kernels, True where a weight stays.
    """
    if starts is None:
        scores = [criterion.score(kernel) for kernel in kernels]
    else:
        scores = [criterion.score_moved(*pair) for pair in zip(kernels, starts, strict=True)]
    shares = [sparsity] * len(scores) if scope == "layer" else spread(scores, sparsity)
    if layouts is None:
        return [pattern.mask(score, share) for score, share in zip(scores, shares, strict=True)]
    return [
        layout.restored(pattern.mask(layout.arranged(score), share))
        for layout, score, share in zip(layouts, scores, shares, strict=True)
    ]


def spread(scores: Sequence[NDArray[Any]], sparsity: float) -> list[float]:
    """Returns the sparsity of each kernel under one threshold across all of them.

    The best weight of each kernel stays, since a kernel without weights would cut the network apart.

    Args:
        scores: Importance of each weight, one array per kernel.
        sparsity: The share of all weights to remove, in [0, 1).

    Returns:
        A fraction per kernel; times the sizes they add up to `sparsity` of the whole.
    """
    ranked = np.concatenate([score.reshape(-1) for score in scores])
    begins = np.cumsum([0, *(score.size for score in scores)])
    for begin, score in zip(begins, scores, strict=False):
        ranked[begin + int(np.argmax(score))] = np.inf
    kept = ElementPattern().mask(ranked, sparsity)
    return [1.0 - np.count_nonzero(part) / part.size for part in np.split(kept, begins[1:-1])]
