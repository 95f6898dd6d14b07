"""How much the loss rises, as measured, when the weakest channels of a group are gone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tfzip.errors import OptionError
from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria
from tfzip.pruning.criteria.l1 import L1Criterion

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def check_ratios(ratios: Sequence[float]) -> None:
    """Raises `OptionError` unless ratios rise between 0 and 1."""
    if not isinstance(ratios, Sequence) or not all(isinstance(one, int | float) for one in ratios):
        raise OptionError(f"Ratios of a sensitivity are several numbers. Received: {ratios!r}.")
    if not ratios or list(ratios) != sorted(set(ratios)):
        raise OptionError(f"Ratios of a sensitivity have to rise. Received: {tuple(ratios)!r}.")
    if not 0.0 < ratios[0] <= ratios[-1] < 1.0:
        raise OptionError(f"Ratios of a sensitivity are between 0 and 1. Received: {tuple(ratios)!r}.")


@criteria.register
@dataclass(frozen=True)
class SensitivityCriterion(Criterion):
    """Scores a channel by the rise of the loss when it and all weaker ones of its group are zero.

    Li et al. (2017), "Pruning Filters for Efficient ConvNets", section 3.2: within a group L1 norms decide,
    between groups the measured loss does, which suits `scope="global"`.

    Args:
        ratios: Shares of a group at which the loss is measured, interpolated between.
            Defaults to a tenth, two tenths, and so on.
    """

    ratios: tuple[float, ...] = field(default=RATIOS)
    needs: ClassVar[str] = "loss"
    in_loss: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ratios(self.ratios)
        object.__setattr__(self, "ratios", tuple(self.ratios))

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the rise of the loss up to each channel, which grows from one to the next."""
        if view.loss_without is None:
            raise OptionError("Criterion 'sensitivity' measures the loss on data. Pass data=.")
        order = np.argsort(L1Criterion().score_channels(view), kind="stable")
        counts = sorted({round(ratio * view.size) for ratio in self.ratios} - {0, view.size})
        rises = [view.loss_without(order[:count]) for count in counts]
        known = np.maximum.accumulate(np.maximum([0.0, *rises], 0.0))
        rank = np.arange(1, view.size + 1)
        past = np.maximum(rank - (counts[-1] if counts else 0), 0) * known[-1]
        scores = np.empty(view.size)
        scores[order] = np.interp(rank, [0, *counts], known) + past + rank * 1e-9
        return scores
