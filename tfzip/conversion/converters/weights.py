"""Writes the integers of weights: other widths, own steps, and zero points than the converter's.

The converter stores weights in 8 bits with the step of their largest magnitude. Here every weight becomes
`clip(round(w / step))` of the float weights it was made from, with batch normalization folded in, in the
format that the scheme has for its layer. A bias of an integer operation is stored anew, since its step is the
product of the steps of input and weights (Jacob et al. 2018, section 2.2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from tfzip.conversion.converters.file_model import FileModel
from tfzip.conversion.converters.plans import WeightPlan, WeightPlans
from tfzip.quantization.scales import least_squares_scales
from tfzip.schemes import TensorFormat

Floats = NDArray[np.float32]
_FULL_BITS = 8
_NOISE = 1e-4  # of the largest magnitude: far above last bits, far below another kernel


@dataclass(frozen=True)
class _Kind:
    """Where an operation keeps its weights, and what LiteRT's kernels take.

    Attributes:
        weights: Which input they are.
        bias: Which input the bias is.
        axis: Axis of the output channels.
        narrow: Whether kernels take 4 bits beside integer activations.
        narrow_hybrid: Whether kernels take 4 bits beside float activations.
        shared_step_hybrid: Whether kernels take one step for all channels beside float activations.
    """

    weights: int
    bias: int
    axis: int
    narrow: bool
    narrow_hybrid: bool
    shared_step_hybrid: bool = True


_KINDS = {
    "CONV_2D": _Kind(1, 2, 0, narrow=True, narrow_hybrid=True),
    "FULLY_CONNECTED": _Kind(1, 2, 0, narrow=True, narrow_hybrid=True),
    "DEPTHWISE_CONV_2D": _Kind(1, 2, 3, narrow=True, narrow_hybrid=False, shared_step_hybrid=False),
    "TRANSPOSE_CONV": _Kind(1, 3, 0, narrow=False, narrow_hybrid=False),
}


@dataclass(frozen=True)
class _Weighted:
    """A weighted operation of a file: its place among all operations, its kind, and its tensors."""

    place: int
    kind: _Kind
    given: Any
    weights: Any
    bias: Any


def rewrite_weights(quantized: FileModel, floats: FileModel, plans: WeightPlans) -> None:
    """Stores the weights of a quantized file in the formats that are wanted, in place.

    Args:
        quantized: What the converter made: with integer activations, or with 8-bit weights only.
        floats: The same graph before it was quantized.
        plans: Says what each operation's weights become.
    """
    sources = list(_weighted(floats))
    done: set[int] = set()
    for one in _weighted(quantized):
        source = _source(quantized, one, floats, sources)
        if source is None:
            continue
        values = floats.values(source.weights)
        bias = floats.values(source.bias) if source.bias is not None else None
        plan = plans.of(values, source.place)
        is_hybrid = one.given.type == schema.TensorType.FLOAT32
        form = _taken(plan.form, one.kind, is_hybrid)
        if plan.is_simulated:
            values, bias = _simulated(values, bias, plan, one.kind.axis)
        elif plan.scales is None and _is_as_wanted(one, form):
            continue
        if id(one.weights) not in done:
            _write_weights(quantized, one, replace(plan, form=form), values)
            done.add(id(one.weights))
        if not is_hybrid:
            _write_bias(quantized, one, bias)


def _weighted(model: FileModel) -> Iterator[_Weighted]:
    for place, (graph, operator) in enumerate(model.operators()):
        kind = _KINDS.get(model.name_of(operator))
        if kind is None:
            continue
        inputs = [graph.tensors[index] if index >= 0 else None for index in operator.inputs]
        given = inputs[2] if kind.bias == 3 else inputs[0]
        bias = inputs[kind.bias] if len(inputs) > kind.bias else None
        one = _Weighted(place, kind, given, inputs[kind.weights], bias)
        if model.values(one.weights) is not None:
            yield one


def _source(
    quantized: FileModel, one: _Weighted, floats: FileModel, sources: Sequence[_Weighted]
) -> _Weighted | None:
    """Returns the operation that became `one`: its weights are these to half a step."""
    values = _real(quantized.values(one.weights), one)
    named = sorted(sources, key=lambda source: source.weights.name != one.weights.name)
    for source in named:
        same = source.kind is one.kind and tuple(source.weights.shape) == tuple(one.weights.shape)
        if same and _agree(values, floats.values(source.weights), one):
            return source
    return None


def _real(values: Any, one: _Weighted) -> Floats:
    grid = one.weights.quantization
    if values.dtype == np.float32 or grid is None or grid.scale is None:
        return np.asarray(values, np.float32)
    steps = _along(np.asarray(grid.scale, np.float32), values, one.kind.axis)
    return np.asarray(values * steps, np.float32)


def _agree(real: Floats, source: Any, one: _Weighted) -> bool:
    if source is None or source.dtype != np.float32:
        return False
    grid = one.weights.quantization
    steps = np.zeros(1) if grid is None or grid.scale is None else np.asarray(grid.scale)
    apart = np.abs(real - source)
    return bool((apart <= 0.51 * _along(steps, real, one.kind.axis) + 1e-6 * np.abs(source)).all())


def _simulated(values: Any, bias: Any, plan: WeightPlan, axis: int) -> tuple[Any, Any]:
    """Returns weights and bias with the last bits that the simulation has, where they are the same."""
    kernel = plan.kernel
    if kernel is None or kernel.rows is None or kernel.rows.size != values.size:
        return values, bias
    channels_first = np.moveaxis(values, axis, 0)
    own = np.moveaxis(kernel.rows.reshape(channels_first.shape), 0, axis)
    if _same(own, values):
        values = own
    if bias is not None and kernel.bias is not None and _same(kernel.bias, bias):
        bias = kernel.bias
    return values, bias


def _same(one: Floats, other: Floats) -> bool:
    close = _NOISE * max(float(np.abs(other).max(initial=0.0)), 1e-30)
    return one.shape == other.shape and bool((np.abs(one - other) <= close).all())


def _taken(form: TensorFormat, kind: _Kind, is_hybrid: bool) -> TensorFormat:
    """Returns the format nearest to the wanted one that LiteRT's kernels take."""
    if form.bits < _FULL_BITS and not (kind.narrow_hybrid if is_hybrid else kind.narrow):
        form = replace(form, bits=_FULL_BITS)
    if is_hybrid and not kind.shared_step_hybrid:
        form = replace(form, per_channel=True)
    return form


def _is_as_wanted(one: _Weighted, form: TensorFormat) -> bool:
    grid = one.weights.quantization
    channels = one.weights.shape[one.kind.axis]
    count = 0 if grid is None or grid.scale is None else len(grid.scale)
    is_int8 = one.weights.type == schema.TensorType.INT8 and form.bits == _FULL_BITS
    return is_int8 and form.symmetric and count == (channels if form.per_channel else 1)


def _write_weights(model: FileModel, one: _Weighted, plan: WeightPlan, floats: Any) -> None:
    axis = one.kind.axis if plan.form.per_channel else None
    steps, zero_point = _grid(floats, plan, axis)
    low, high = plan.form.limits
    integers = np.rint(floats / _along(steps, floats, one.kind.axis)) + zero_point
    integers = np.clip(integers, low, high).astype(np.int8)
    narrow = plan.form.bits < _FULL_BITS
    one.weights.type = schema.TensorType.INT4 if narrow else schema.TensorType.INT8
    model.set_values(one.weights, packed(integers) if narrow else integers)
    grid = schema.QuantizationParametersT()
    grid.scale = steps
    grid.zeroPoint = np.full(steps.size, zero_point, np.int64)
    grid.quantizedDimension = axis or 0
    one.weights.quantization = grid


def _grid(floats: Floats, plan: WeightPlan, axis: int | None) -> tuple[Floats, int]:
    """Returns the steps and the zero point of weights."""
    form = plan.form
    if plan.scales is not None and plan.scales.size in (1, 1 if axis is None else floats.shape[axis]):
        return np.asarray(plan.scales, np.float32).ravel(), 0
    rows = (
        floats.reshape(1, -1)
        if axis is None
        else np.moveaxis(floats, axis, 0).reshape(floats.shape[axis], -1)
    )
    low, high = form.limits
    if not form.symmetric:
        least, most = min(float(floats.min()), 0.0), max(float(floats.max()), 0.0)
        step = np.float32((most - least) / (high - low) or 1.0)
        return np.array([step], np.float32), int(np.clip(np.rint(low - least / step), low, high))
    if form.bits < _FULL_BITS:
        return least_squares_scales(rows, form), 0
    largest = np.abs(rows).max(axis=1).astype(np.float64)
    return (np.where(largest > 0, largest, 1.0) / high).astype(np.float32), 0  # as simulated


def _write_bias(model: FileModel, one: _Weighted, floats: Any) -> None:
    if one.bias is None or floats is None:
        return
    steps = np.float32(one.given.quantization.scale[0]) * one.weights.quantization.scale
    dtype = np.int64 if one.bias.type == schema.TensorType.INT64 else np.int32
    limits = np.iinfo(np.int32)
    integers = np.clip(np.rint(floats / steps).astype(np.float64), limits.min, limits.max)
    model.set_values(one.bias, integers.astype(dtype))
    grid = one.bias.quantization
    grid.scale, grid.zeroPoint = steps.astype(np.float32), np.zeros(steps.size, np.int64)


def _along(steps: NDArray[Any], values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Returns steps in a shape that broadcasts against weights."""
    return steps.reshape([-1 if place == axis and steps.size > 1 else 1 for place in range(values.ndim)])


def packed(integers: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Returns 4-bit integers two to a byte, the first in the low half."""
    flat = integers.ravel().view(np.uint8) & 0xF
    flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    return (flat[0::2] | (flat[1::2] << 4)).astype(np.uint8)
