"""How far training moved a weight away from zero."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Scores, WeightCriterion, criteria, mean_of

_TIE = 1e-6


@criteria.register
@dataclass(frozen=True)
class MovementCriterion(WeightCriterion):
    """Scores a weight by `(w**2 - start**2) / mean(start**2)`, where `start` is the weight before training.

    Movement pruning (Sanh et al. 2020, "Movement Pruning: Adaptive Sparsity by Fine-Tuning", equation 3) adds
    up `-rate * w * dL/dw` over the steps of a fit, to first order. A step of gradient descent changes `w` by
    `-rate * dL/dw`, so that the sum of `w * change` is half the change of `w**2`, up to the squares of
    changes; this holds for the steps of any optimizer and needs no gradients. Weights that fine-tuning
    shrinks go first, however large they are: for a trained model that learns another task. Of weights that
    moved alike, the smaller goes first.
    """

    needs: ClassVar[str] = "start"

    def score(self, weights: NDArray[Any]) -> Scores:  # noqa: ARG002
        """Raises `OptionError`: weights alone do not tell how they moved."""
        raise OptionError(
            "Criterion 'movement' compares weights with those before training. Use it in a PruningCallback,"
            " or pass the model before training to remove_channels as data=."
        )

    def score_moved(self, weights: NDArray[Any], start: NDArray[Any]) -> Scores:
        """Returns the movement of each weight, below 0 towards zero; minus infinity for zeros."""
        return np.where(weights == 0, -np.inf, _moved(weights, start))

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the mean movement of a channel's weights, averaged over the kernels around it."""
        if any(rows.start is None for rows in view.kernels):
            return self.score(view.kernels[0].values)
        return mean_of([_moved(rows.values, np.asarray(rows.start)).mean(axis=1) for rows in view.kernels])


def _moved(weights: NDArray[Any], start: NDArray[Any]) -> Scores:
    now, before = (np.square(one.astype(np.float64)) for one in (weights, start))
    moved: Scores = (now - before + _TIE * now) / (before.mean() or 1.0)
    return moved
