"""Cross-layer equalization: moving size from one kernel to the next, so that channels are alike.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1: with
s_i = sqrt(r1_i / r2_i) for the largest weights r1, r2 of channel i before and after it, W1 becomes W1 / s and
W2 becomes W2 s; both then reach sqrt(r1 r2).
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.graph.signature import input_tree
from tfzip.quantization.copies import copy_of
from tfzip.quantization.emitters.collect import Collect
from tfzip.quantization.quantizer import in_batches
from tfzip.quantization.revision import Change, Revision
from tfzip.quantization.scaling_sets import ScalingSet, scaling_sets
from tfzip.quantization.simulation import Simulation
from tfzip.quantization.weighted import WeightGroup
from tfzip.sources.batches import calibration_samples

Array = NDArray[np.float32]
_STEP = "equalize"
_SWEEPS = 50
_CONVERGED = 1e-3
_CAP = 6.0


def equalize(model: keras.Model, *, calibration: Any = None) -> Revision:
    """Returns a model that computes the same and whose kernels and activations quantize better.

    Channels are rescaled between kernels that are connected by positively homogeneous operations: ReLU,
    pooling, residual sums, gates of squeeze-and-excitation. Swish, hard-swish and other curves end a
    connection, so such nets are rescaled over their linear bottlenecks alone. ReLU6 does so too, unless
    calibration data show that its cap is not reached: then it becomes a ReLU first.

    Args:
        model: A built model; it is left as it was.
        calibration: Inputs that show which caps of ReLU6 are not reached. Defaults to None: all are kept.

    Returns:
        A model of the same kind, and which layers were rescaled together or why they were not.

    Raises:
        DataError: The calibration data do not fit the model.
        ModelError: The model cannot be flattened.
    """
    copy = copy_of(model)
    changes = [] if calibration is None else _without_idle_caps(copy, calibration)
    simulation = Simulation(copy)
    sets = scaling_sets(simulation.graph, simulation.groups)
    free = [found for found in sets if not found.pinned]
    factors = [np.ones(found.makers[0].channels, np.float32) for found in free]
    for _ in range(_SWEEPS):
        moved = 0.0
        for index, found in enumerate(free):
            factor = _factor(found)
            _rescale(found, factor)
            factors[index] = factors[index] * factor
            moved = max(moved, float(np.abs(np.log(factor)).max()))
        if moved < _CONVERGED:
            break
    for found, factor in zip(free, factors, strict=True):
        span = f"{len(factor)} channels, divided by {factor.min():.3g} to {factor.max():.3g}"
        changes.append(Change(_STEP, _names(found), span))
    changes += [Change(_STEP, _names(found), skipped=found.pinned) for found in sets if found.pinned]
    return Revision(copy, tuple(changes))


def _names(found: ScalingSet) -> str:
    return " + ".join(dict.fromkeys(group.path for group in (*found.makers, *found.readers)))


def _factor(found: ScalingSet) -> Array:
    """Returns what the makers are divided by: 1 for channels that are zero on either side."""
    before = np.max([_largest(_by_output(group)) for group in found.makers], axis=0)
    after = np.max([_largest(_by_input(group)) for group in found.readers], axis=0)
    alive = (before > 0) & (after > 0)
    return np.sqrt(np.where(alive, before, 1) / np.where(alive, after, 1)).astype(np.float32)


def _largest(rows: Array) -> Array:
    return np.asarray(np.abs(rows).max(axis=1))


def _by_output(group: WeightGroup) -> Array:
    return group.by_channel(group.folded_kernel())


def _by_input(group: WeightGroup) -> Array:
    """Returns the folded kernel with one row for each channel it reads."""
    kernel = group.folded_kernel()
    if group.axes == (-2,):
        return np.moveaxis(kernel, -1, 0).reshape(kernel.shape[-1], -1)
    count = _groups_of(group)
    blocks = kernel.reshape(-1, kernel.shape[-2], count, kernel.shape[-1] // count)
    return blocks.transpose(2, 1, 0, 3).reshape(count * kernel.shape[-2], -1)


def _groups_of(group: WeightGroup) -> int:
    return 1 if group.axes == (-2, -1) else int(getattr(group.layer, "groups", 1))


def _rescale(found: ScalingSet, factor: Array) -> None:
    for group in found.makers:
        _divide_outputs(group, factor)
    for group in found.readers:
        _multiply_inputs(group, factor)


def _divide_outputs(group: WeightGroup, factor: Array) -> None:
    if group.norm is not None:
        for variable in (group.norm.gamma, group.norm.beta if group.norm.center else None):
            _multiply(variable, 1 / factor)
        return
    _multiply(group.kernel, group.along_channels(1 / factor))
    _multiply(group.bias, 1 / factor)


def _multiply_inputs(group: WeightGroup, factor: Array) -> None:
    if group.axes == (-2,):
        _multiply(group.kernel, factor)
        return
    count, (inputs, outputs) = _groups_of(group), group.kernel.shape[-2:]
    _multiply(group.kernel, np.repeat(factor.reshape(count, inputs).T, outputs // count, axis=1))


def _multiply(variable: Any, factor: NDArray[Any]) -> None:
    if variable is not None:
        variable.assign(np.asarray(variable, np.float32) * factor)


def _without_idle_caps(model: keras.Model, calibration: Any) -> list[Change]:
    """Makes a ReLU of every ReLU6 of a model that never reaches its cap on the data."""
    simulation, collect = Simulation(model), Collect()
    samples = calibration_samples(calibration, keras.tree.flatten(input_tree(model)))
    for batch in in_batches(samples):
        simulation.run(batch, collect)
    highest: dict[str, float] = {}
    for key, seen in collect.statistics.items():
        path = key.split("#")[0]
        highest[path] = max(seen.high, highest.get(path, 0.0))
    changes = []
    for path, layer in {node.path: node.operation for node in simulation.graph.nodes}.items():
        if highest.get(path, _CAP) < _CAP and _uncap(layer):
            detail = f"a ReLU now, since it reaches {highest[path]:.3g} of its cap of {_CAP:g}"
            changes.append(Change(_STEP, path, detail))
    return changes


def _uncap(layer: Any) -> bool:
    if isinstance(layer, keras.layers.ReLU) and layer.max_value == _CAP:
        layer.max_value = None
        return True
    if getattr(layer, "activation", None) is keras.activations.relu6:
        layer.activation = keras.activations.relu
        return True
    return False
