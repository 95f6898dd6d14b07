"""Averages: over windows on the grid of their input, over everything on a grid of their own."""

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Value


@contract("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def average_pooling(call: Call) -> Value:
    """LiteRT's kernel has no other scale for its result."""
    mean, counts = call.run(), _counts(call.layer, call.tensors[0].shape[1:-1])
    if counts is not None and call.inputs[0].key is not None:
        mean = call.emitter.average(call.inputs[0], mean, counts)
    return call.passed_on(mean)


def _counts(layer: Any, sizes: Any) -> Any:
    """Returns how many numbers each window holds, for all channels; `None` where that is not known.

    Padding is not counted. The batch and the channels of the result have a size of 1.
    """
    if layer.padding == "valid":
        return prod(layer.pool_size)
    if layer.data_format != "channels_last" or None in sizes:
        return None
    counts = []
    for size, window, stride in zip(sizes, layer.pool_size, layer.strides, strict=True):
        results = -(-size // stride)
        starts = np.arange(results) * stride - max((results - 1) * stride + window - size, 0) // 2
        counts.append(np.minimum(starts + window, size) - np.maximum(starts, 0))
    return reduce(np.multiply.outer, counts).astype(np.float32)[None, ..., None]


@contract("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
def global_average_pooling(call: Call) -> Value:
    """The mean over all positions; a mask of time steps makes it another one."""
    mean = call.run()
    if call.inputs[0].key is None or len(call.inputs) > 1:
        return call.result(mean)
    values, results = call.tensors[0].shape[1:], mean.shape[1:]
    if None in (*values, *results):
        return call.result(mean)
    return call.result(call.emitter.mean(call.inputs[0], mean, prod(values) // prod(results)))
