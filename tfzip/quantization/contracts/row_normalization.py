"""Normalizations by statistics of the example itself, written with operations that have integer kernels.

Keras negates means and squares differences, for which LiteRT has float kernels only, and scales the variance
before it is used. Here the difference from the mean is stored, multiplied by itself, and what is normalized
lies on a grid of its own before the learned scale is applied.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import tensorflow as tf
from keras import ops

from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.contracts.fixed import SYMMETRIC_ONE
from tfzip.quantization.emitters import Value

_STATISTICS = "float32"


@contract("LayerNormalization")
def layer_normalization(call: Call) -> Value:
    """Mean, difference, variance, quotient; then scale and shift."""
    layer, source = call.layer, call.inputs[0]
    if source.key is None:
        return call.result(call.run())
    axes, shape = _axes_and_shape(layer, source)
    centered = _centered(call, _wide(source), axes)
    inverse = _inverse_root(call, centered, axes, layer.epsilon)
    if layer.beta is None:
        return _scaled(call, centered, inverse, _weight(layer.gamma, shape))
    normalized = _divided(call, centered, inverse)
    return _with_weights(call, normalized, _weight(layer.gamma, shape), _weight(layer.beta, shape))


@contract("GroupNormalization")
def group_normalization(call: Call) -> Value:
    """The same over groups of channels and all positions."""
    layer, source = call.layer, call.inputs[0]
    sizes = list(source.tensor.shape)
    if source.key is None or None in sizes[1:]:
        return call.result(call.run())
    (axis,) = _positive([layer.axis], source.tensor)
    groups = layer.groups if layer.groups != -1 else sizes[axis]
    split = [-1, *sizes[1:axis], groups, sizes[axis] // groups, *sizes[axis + 1 :]]
    grouped = replace(_wide(source), tensor=ops.reshape(_wide(source).tensor, split))
    axes = [place for place in range(1, len(split)) if place != axis]
    centered = _centered(call, grouped, axes)
    normalized = _divided(call, centered, _inverse_root(call, centered, axes, layer.epsilon))
    normalized = replace(normalized, tensor=ops.reshape(normalized.tensor, [-1, *sizes[1:]]))
    shape = [size if place == axis else 1 for place, size in enumerate(sizes)]
    return _with_weights(call, normalized, _weight(layer.gamma, shape), _weight(layer.beta, shape))


@contract("RMSNormalization")
def rms_normalization(call: Call) -> Value:
    """A quotient by the root of the mean square; then a scale."""
    layer, source = call.layer, call.inputs[0]
    if source.key is None:
        return call.result(call.run())
    axes, shape = _axes_and_shape(layer, source)
    inverse = _inverse_root(call, _wide(source), axes, layer.epsilon)
    return _scaled(call, _wide(source), inverse, _weight(layer.scale, shape))


def _axes_and_shape(layer: Any, source: Value) -> tuple[list[int], list[int]]:
    """Returns the axes that a layer normalizes over, and the shape of its weights next to its input."""
    axes = _positive([layer.axis] if isinstance(layer.axis, int) else layer.axis, source.tensor)
    return axes, [size if axis in axes else 1 for axis, size in enumerate(source.tensor.shape)]


@contract("UnitNormalization")
def unit_normalization(call: Call) -> Value:
    """One operation with a grid of its own, along the last axis."""
    axes = _positive(
        [call.layer.axis] if isinstance(call.layer.axis, int) else call.layer.axis, call.tensors[0]
    )
    if axes != [len(call.tensors[0].shape) - 1]:
        return call.result(call.run())
    return call.result(tf.math.l2_normalize(call.tensors[0], axis=-1), SYMMETRIC_ONE)


def _centered(call: Call, source: Value, axes: Sequence[int]) -> Value:
    mean = call.emit("mean", _mean(call, source, axes))
    return call.emit("centered", call.emitter.subtract(call.part_key("centered"), source, mean))


def _inverse_root(call: Call, source: Value, axes: Sequence[int], epsilon: float) -> Value:
    """Returns what divides values by the root of their mean square."""
    emitter = call.emitter
    square = call.emit("square", emitter.multiply(call.part_key("square"), source, source))
    variance = call.emit("variance", _mean(call, square, axes))
    smallest = emitter.constant(ops.cast(epsilon, _STATISTICS))
    above = call.emit("above_zero", emitter.add(call.part_key("above_zero"), variance, smallest))
    return call.emit("inverse", ops.rsqrt(above.tensor))


def _divided(call: Call, source: Value, inverse: Value) -> Value:
    return call.emit("normalized", call.emitter.multiply(call.part_key("normalized"), source, inverse))


def _mean(call: Call, source: Value, axes: Sequence[int]) -> Any:
    mean = ops.mean(source.tensor, list(axes), keepdims=True)
    return call.emitter.mean(source, mean, prod(source.tensor.shape[axis] for axis in axes))


def _scaled(call: Call, source: Value, inverse: Value, scale: Any) -> Value:
    """Returns the result of a layer without shift.

    The scale goes with the inverse: a product with a constant would be folded into a dense layer behind.
    """
    emitter = call.emitter
    if scale is not None:
        product = emitter.multiply(call.part_key("scaled"), inverse, emitter.constant(scale))
        inverse = call.emit("scaled", product)
    return call.result(emitter.multiply(call.key, source, inverse))


def _with_weights(call: Call, normalized: Value, scale: Any, shift: Any) -> Value:
    """Returns the result of a layer. The shift is a difference: a sum would be folded into what follows."""
    emitter = call.emitter
    if scale is None and shift is None:
        return call.result(normalized.tensor)
    if shift is None:
        return call.result(emitter.multiply(call.key, normalized, emitter.constant(scale)))
    if scale is not None:
        product = emitter.multiply(call.part_key("scaled"), normalized, emitter.constant(scale))
        normalized = call.emit("scaled", product)
    return call.result(emitter.subtract(call.key, normalized, emitter.constant(-shift)))


def _weight(variable: Any, shape: Sequence[int]) -> Any:
    if variable is None:
        return None
    return ops.reshape(ops.cast(full_precision(variable), _STATISTICS), shape)


def _wide(source: Value) -> Value:
    return replace(source, tensor=ops.cast(source.tensor, _STATISTICS))


def _positive(axes: Sequence[int], tensor: Any) -> list[int]:
    return sorted(axis % len(tensor.shape) for axis in axes)
