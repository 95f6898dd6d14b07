"""How far a channel's kernel is from all others: what is close to the middle can be replaced by them."""

from dataclasses import dataclass

import numpy as np

from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria


@criteria.register
@dataclass(frozen=True)
class GeometricMedianCriterion(Criterion):
    """Scores a channel by the sum of the distances of its kernel to those of the others of its group.

    He et al. (2019), "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks
    Acceleration" (FPGM), equation 6. It removes what the others can express, not what is small. Where several
    kernels make a channel, they are one long kernel, each divided by its own norm so that all count alike.
    """

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the mean distance to the other channels."""
        made = [rows.values.astype(np.float64) for rows in view.rows if rows.role == "out"] or [
            rows.values.astype(np.float64) for rows in view.kernels
        ]
        points = np.concatenate([rows / (np.linalg.norm(rows) or 1.0) for rows in made], axis=1)
        squares = np.square(points).sum(axis=1)
        distances = squares[:, None] + squares[None] - 2.0 * points @ points.T
        scores: Scores = np.sqrt(np.maximum(distances, 0.0)).sum(axis=1)
        return scores
