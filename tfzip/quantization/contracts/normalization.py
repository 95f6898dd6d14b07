"""Scales and shifts of whole tensors: in LiteRT a product and a sum with constants."""

from typing import Any

import numpy as np
from keras import ops

from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Value


@contract("BatchNormalization")
def batch_normalization(call: Call) -> Value:
    """A normalization that is folded into no kernel; in the order product, sum."""
    layer, source = call.layer, call.inputs[0]
    if call.batch_statistics and layer.trainable:
        return call.result(layer(source.tensor, training=True))
    factor = ops.rsqrt(full_precision(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        factor = factor * full_precision(layer.gamma)
    shift = -full_precision(layer.moving_mean) * factor
    if layer.center:
        shift = full_precision(layer.beta) + shift
    shape = [1] * len(source.tensor.shape)
    shape[layer.axis if isinstance(layer.axis, int) else layer.axis[0]] = -1
    return scaled_and_shifted(call, source, ops.reshape(factor, shape), ops.reshape(shift, shape))


@contract("Rescaling")
def rescaling(call: Call) -> Value:
    """A product, and a sum unless the offset is 0."""
    scale, offset = (np.asarray(values, np.float32) for values in (call.layer.scale, call.layer.offset))
    return scaled_and_shifted(call, call.inputs[0], scale, offset if offset.any() else None)


@contract("Normalization")
def normalization(call: Call) -> Value:
    """A difference and a product."""
    layer, source = call.layer, call.inputs[0]
    if layer.invert or source.key is None:
        return call.result(call.run())
    mean = call.emitter.constant(_like(source, -layer.mean))
    centered = call.emit("centered", call.emitter.add(call.part_key("centered"), source, mean))
    inverse = 1.0 / ops.maximum(ops.sqrt(layer.variance), 1e-7)
    factor = call.emitter.constant(_like(source, inverse))
    return call.result(call.emitter.multiply(call.key, centered, factor))


def scaled_and_shifted(call: Call, source: Value, factor: Any, shift: Any) -> Value:
    """Returns `source * factor + shift` as LiteRT computes and stores it."""
    if source.key is None:
        return call.result(call.run())
    constant = call.emitter.constant(_like(source, factor))
    if shift is None:
        return call.result(call.emitter.multiply(call.key, source, constant))
    product = call.emit("scaled", call.emitter.multiply(call.part_key("scaled"), source, constant))
    return call.result(call.emitter.add(call.key, product, call.emitter.constant(_like(source, shift))))


def _like(source: Value, values: Any) -> Any:
    return ops.cast(values, source.tensor.dtype)
