"""Averages: over windows on the grid of their input, over everything on a grid of their own."""

from math import prod

from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Value


@contract("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def average_pooling(call: Call) -> Value:
    """LiteRT's kernel has no other scale for its result; where padding is left out, counts differ."""
    mean = call.run()
    if call.layer.padding == "valid" and call.inputs[0].key is not None:
        mean = call.emitter.average(call.inputs[0], mean, prod(call.layer.pool_size))
    return call.passed_on(mean)


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
