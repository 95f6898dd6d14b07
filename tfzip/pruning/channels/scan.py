"""How much of each group of channels a model can lose: accuracy against ratio."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from tfzip.errors import ModelError, OptionError
from tfzip.explained import explained
from tfzip.graph.channels import Channels
from tfzip.graph.walk import LayerSelection, check_built
from tfzip.pruning.channels.batches import Batch, batches_of
from tfzip.pruning.channels.decide import Scores
from tfzip.pruning.channels.evidence import score_groups
from tfzip.pruning.channels.removable import removable
from tfzip.pruning.channels.scan_report import ChannelScan, ChannelScanRow
from tfzip.pruning.channels.silence import silenced
from tfzip.pruning.channels.undisturbed import undisturbed
from tfzip.pruning.criteria import L1Criterion
from tfzip.pruning.criteria.sensitivity import RATIOS, check_ratios

_SAMPLES = 2048


def channel_sensitivity(
    model: keras.Model,
    data: Any,
    *,
    ratios: Sequence[float] = RATIOS,
    layers: LayerSelection = None,
    samples: int = _SAMPLES,
) -> ChannelScan:
    """Measures what a model is worth without more and more channels of one group at a time.

    The channels with the smallest L1 norms go first (Li et al. 2017, "Pruning Filters for Efficient
    ConvNets", section 3.2). The scan is evidence for `remove_channels(..., criterion="sensitivity",
    scope="global", data=scan)`, which then needs no data.

    Args:
        model: A compiled model; its loss and metrics are measured. Its weights are left as they were.
        data: `(inputs, targets)` or batches of them, never those of a test set.
        ratios: Shares of a group to try. Defaults to a tenth, two tenths, and so on.
        layers: Whose channels may go, as in `remove_channels`. Defaults to all.
        samples: Most rows to take. Defaults to 2048.

    Returns:
        A row for each group and number of channels.

    Raises:
        ModelError: The model is not built or not compiled.
        OptionError: Ratios do not rise between 0 and 1, or no channel can be removed.
        DataError: The data are empty or have no targets.

    Example:
        >>> scan = tfzip.channel_sensitivity(model, (x_train[:2048], y_train[:2048]))
        >>> print(scan); scan.save("scan.json"); scan.plot("scan.svg")
        >>> small = tfzip.remove_channels(model, 0.5, criterion="sensitivity", scope="global", data=scan)
    """
    check_built(model)
    check_ratios(ratios)
    check_samples(samples)
    if not model.compiled:
        raise ModelError(
            f"A scan measures what model {model.name!r} was compiled for, and it was not. Call"
            " model.compile(loss=..., metrics=...) first."
        )
    batches = batches_of(data, samples, targets=True)
    channels = Channels(model)
    chosen = removable(model, channels, layers)
    scores = score_groups(model, channels, L1Criterion(), data=None, seed=0, chosen=chosen)
    shown = _Batches(batches)
    with undisturbed(model), explained("The scan", "Check that the data fit the model and its loss."):
        before = _measured(model, shown)
        rows = _scanned(model, channels, zip(chosen, scores, strict=True), ratios, shown)
    return ChannelScan(model.name, sum(len(_first(x)) for x, _ in batches), before, tuple(rows))


def _scanned(
    model: keras.Model,
    channels: Channels,
    scored: Iterable[tuple[int, Scores]],
    ratios: Sequence[float],
    shown: "_Batches",
) -> list[ChannelScanRow]:
    rows = []
    for index, score in scored:
        group, order = channels.groups[index], np.argsort(score, kind="stable")
        for count in sorted({round(ratio * group.size) for ratio in ratios} - {0, group.size}):
            with silenced(channels, np.asarray(group.units)[order[:count]]):
                rows.append(ChannelScanRow(group.name, group.size, count, _measured(model, shown)))
    return rows


def check_samples(samples: int) -> None:
    """Raises `OptionError` unless there is a row to measure on."""
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise OptionError(f"samples is at least 1. Received: {samples!r}.")


class _Batches(keras.utils.PyDataset):
    """Batches that can be gone through again and again."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        x, y = self._batches[index]
        return _no_list(x), _no_list(y)


def _no_list(structure: Any) -> Any:
    """Returns a list of arrays, which Keras takes in `fit`, as the tuple that it takes in batches."""
    return tuple(structure) if isinstance(structure, list) else structure


def _measured(model: keras.Model, batches: _Batches) -> dict[str, float]:
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def _first(x: Any) -> Any:
    return keras.tree.flatten(x)[0]
