"""Empirical bias correction: taking the mean error of rounded kernels out of every channel.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with
expectations taken over data: b - (E[W'x' + b] - E[Wx + b]) replaces b, layer by layer, with x' from the net
whose earlier layers are already rounded and corrected.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.graph.signature import input_tree
from tfzip.graph.walk import LayerSelection, select_layers
from tfzip.quantization.biases import has_shift, shift
from tfzip.quantization.copies import copy_of, copy_with_grids
from tfzip.quantization.revision import Change, Revision
from tfzip.quantization.tap import Tapped, by_kernel
from tfzip.quantization.weighted import WeightGroup
from tfzip.quantization_record import attach_record, record_of
from tfzip.schemes import Scheme, get_scheme
from tfzip.sources.batches import calibration_samples

Array = NDArray[np.float64]
_STEP = "correct bias"


def correct_bias(
    model: keras.Model,
    scheme: str | Scheme,
    *,
    calibration: Any,
    reference: keras.Model | None = None,
    layers: LayerSelection = None,
) -> Revision:
    """Returns a model whose rounded kernels make the same mean in every channel as its float ones.

    Args:
        model: A built model; it is left as it was. Its record, if any, says steps and ranges.
        scheme: Number formats that it is going to have.
        calibration: A few hundred unlabelled inputs in any form that `export` takes.
        reference: The float model whose means count; of the same graph. Defaults to None: `model`.
        layers: Which layers, as everywhere. Defaults to None: all.

    Returns:
        A model of the same kind with the same record. What has no bias and no normalization with an offset
        is listed as skipped.

    Raises:
        DataError: The calibration data do not fit the model.
        ModelError: The model cannot be flattened.
    """
    copy, scheme, record = copy_with_grids(model, get_scheme(scheme), record_of(model))
    attach_record(copy, record)
    rounded = Tapped(copy, scheme, record)
    samples = calibration_samples(calibration, keras.tree.flatten(input_tree(copy)))
    chosen = {item.path for item in select_layers(copy, layers)}
    units = [groups for groups in by_kernel(rounded.groups) if groups[0].path in chosen]
    targets = _means(Tapped(copy_of(reference or model)), units, samples)
    changes = []
    for groups, wanted in zip(units, targets, strict=True):
        reason = _reason_to_leave(groups)
        if reason:
            changes.append(Change(_STEP, groups[0].path, skipped=reason))
            continue
        (made,) = _means(rounded, [groups], samples)
        shift(groups[0], (wanted - made).astype(np.float32))
        change = f"by {np.abs(wanted - made).mean():.3g} on average over {len(made)} channels"
        changes.append(Change(_STEP, groups[0].path, change))
    return Revision(copy, tuple(changes))


def _reason_to_leave(groups: list[WeightGroup]) -> str:
    if not has_shift(groups[0]):
        return "it has no bias, nor a normalization with an offset"
    if len(groups) > 1 and any(group.in_kernel for group in groups):
        return "the layer is called more than once and its results are normalized or scaled"
    return ""


def _means(model: Tapped, units: list[list[WeightGroup]], samples: dict[str, NDArray[Any]]) -> list[Array]:
    """Returns the mean of each channel of the results of each kernel: (channels,)."""
    totals = [np.zeros(groups[0].channels) for groups in units]
    counts = [0] * len(units)
    for seen in model.batches(samples):
        for index, groups in enumerate(units):
            for group in groups:
                result = seen[group.key][1]
                totals[index] += tf.reduce_sum(
                    tf.cast(result, tf.float64), _other_axes(group, result)
                ).numpy()
                counts[index] += int(tf.size(result)) // group.channels
    return [total / count for total, count in zip(totals, counts, strict=True)]


def _other_axes(group: WeightGroup, result: Any) -> list[int]:
    """Returns all axes but that of the channels."""
    is_last = getattr(group.layer, "data_format", "channels_last") == "channels_last"
    channels = len(result.shape) - 1 if is_last else 1
    return [axis for axis in range(len(result.shape)) if axis != channels]
