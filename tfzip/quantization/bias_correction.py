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
from tfzip.quantization.biases import has_shift, shift
from tfzip.quantization.quantizer import in_batches
from tfzip.quantization.revision import Change, Revision, copy_of
from tfzip.quantization.simulation import Simulation
from tfzip.quantization.tap import Tap, by_kernel
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
) -> Revision:
    """Returns a model whose rounded kernels make the same mean in every channel as its float ones.

    Args:
        model: A built model; it is left as it was. Its record, if any, says steps and ranges.
        scheme: Number formats that it is going to have.
        calibration: A few hundred unlabelled inputs in any form that `export` takes.
        reference: The float model whose means count; of the same graph. Defaults to None: `model`.

    Returns:
        A model of the same kind with the same record. What has no bias and no normalization with an offset
        is listed as skipped.

    Raises:
        DataError: The calibration data do not fit the model.
        ModelError: The model cannot be flattened.
    """
    scheme, record, copy = get_scheme(scheme), record_of(model), copy_of(model)
    attach_record(copy, record)
    models = (reference or model, Tap(reference or model, ())), (copy, Tap(copy, (), scheme, record))
    runs = [(Simulation(one), tap) for one, tap in models]
    samples = calibration_samples(calibration, keras.tree.flatten(input_tree(copy)))
    changes = []
    for groups in by_kernel(runs[1][0].groups):
        reason = _reason_to_leave(groups)
        if reason:
            changes.append(Change(_STEP, groups[0].path, skipped=reason))
            continue
        wanted, made = (_means(simulation, tap, groups, samples) for simulation, tap in runs)
        shift(groups[0], (wanted - made).astype(np.float32))
        change = f"by {np.abs(wanted - made).mean():.3g} on average over {len(made)} channels"
        changes.append(Change(_STEP, groups[0].path, change))
    return Revision(copy, tuple(changes))


def _reason_to_leave(groups: list[WeightGroup]) -> str:
    if not has_shift(groups[0]):
        return "it has no bias, nor a normalization with an offset"
    if len(groups) > 1 and any(group.norm is not None for group in groups):
        return "the layer is called more than once and its results are normalized"
    return ""


def _means(
    simulation: Simulation, tap: Tap, groups: list[WeightGroup], samples: dict[str, NDArray[Any]]
) -> Array:
    """Returns the mean of each channel of the results of a kernel: (channels,)."""
    total, count = np.zeros(groups[0].channels), 0
    tap.keys = {group.key for group in groups}
    for batch in in_batches(samples):
        simulation.run(batch, tap)
        for group in groups:
            result = tap.seen[group.key][1]
            is_last = getattr(group.layer, "data_format", "channels_last") == "channels_last"
            axis = len(result.shape) - 1 if is_last else 1
            rest = [one for one in range(len(result.shape)) if one != axis]
            total += tf.reduce_sum(tf.cast(result, tf.float64), rest).numpy()
            count += int(tf.size(result)) // groups[0].channels
    return np.asarray(total / count)
