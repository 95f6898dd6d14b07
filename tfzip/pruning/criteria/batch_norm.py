"""The scale that batch normalization gives a channel."""

from dataclasses import dataclass

import numpy as np

from tfzip.errors import OptionError
from tfzip.pruning.channels.view import ChannelView
from tfzip.pruning.criteria.criterion import Criterion, Scores, criteria, mean_of


@criteria.register
@dataclass(frozen=True)
class BatchNormCriterion(Criterion):
    """Scores a channel by `|gamma|` of the normalizations it passes.

    Liu et al. (2017), "Learning Efficient Convolutional Networks through Network Slimming", who first train
    with an L1 penalty on these scales (`tfzip.SlimmingCallback`), so that they tell channels apart. Scales of
    all layers are comparable, which suits `scope="global"`.
    """

    def score_channels(self, view: ChannelView) -> Scores:
        """Returns the mean magnitude of the scales of each channel.

        Raises:
            OptionError: The group passes no normalization with a scale.
        """
        scales = [np.abs(rows.values).mean(axis=1) for rows in view.rows if rows.weight == "gamma"]
        if not scales:
            raise OptionError(
                f"Criterion 'batch_norm' finds no scale of a normalization on the channels of {view.name!r}."
                " Leave the layer out with layers=, or choose another criterion."
            )
        return mean_of(scales)
