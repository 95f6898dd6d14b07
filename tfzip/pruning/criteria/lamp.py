"""A weight's share of what would be left if all smaller ones were gone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Scores, WeightCriterion, criteria


@criteria.register
@dataclass(frozen=True)
class LampCriterion(WeightCriterion):
    """Scores a weight by `w**2 / sum(v**2 for v with |v| >= |w|)`, so that layers can be ranked together.

    Lee et al. (2021), "Layer-Adaptive Sparsity for the Magnitude-based Pruning", equation 3. The largest
    weight of each kernel scores 1, so that no layer is emptied. Within one kernel the order is that of
    `MagnitudeCriterion`. Of a channel, the square is that of its whole norm.
    """

    def score(self, weights: NDArray[Any]) -> Scores:
        """Returns the share of each weight; 0 for zeros."""
        return _shares(np.square(weights.astype(np.float64)))

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the share of each channel in its group."""
        energies = [np.square(rows.values.astype(np.float64)).sum(axis=1) for rows in view.kernels]
        return _shares(np.sum(energies, axis=0))


def _shares(energies: Scores) -> Scores:
    flat = energies.reshape(-1)
    order = np.argsort(flat, kind="stable")
    rest = np.cumsum(flat[order][::-1])[::-1]
    shares = np.empty_like(flat)
    shares[order] = np.divide(flat[order], rest, out=np.zeros_like(flat), where=rest > 0)
    return shares.reshape(energies.shape)
