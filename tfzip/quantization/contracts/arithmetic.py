"""Sums, differences and products of activations; of several, LiteRT takes two at a time."""

from collections.abc import Callable
from typing import Any

from keras import ops

from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Value


@contract("Add")
def add(call: Call) -> Value:
    """A sum of activations."""
    return _in_pairs(call, call.emitter.add)


@contract("Subtract")
def subtract(call: Call) -> Value:
    """A difference of two activations."""
    return _in_pairs(call, call.emitter.subtract)


@contract("Average")
def average(call: Call) -> Value:
    """A sum of activations, times the inverse of their number."""
    if any(value.key is None for value in call.inputs):
        return call.result(call.run())
    emitter, total = call.emitter, call.inputs[0]
    for index, value in enumerate(call.inputs[1:]):
        total = call.emit(str(index), emitter.add(call.part_key(str(index)), total, value))
    inverse = emitter.constant(ops.cast(1 / len(call.inputs), total.tensor.dtype))
    return call.result(emitter.multiply(call.key, total, inverse))


@contract("Multiply")
def multiply(call: Call) -> Value:
    """A product of activations."""
    return _in_pairs(call, call.emitter.multiply)


def _in_pairs(call: Call, combine: Callable[[str, Value, Value], Any]) -> Value:
    if len(call.inputs) < 2 or any(value.key is None for value in call.inputs):
        return call.result(call.run())
    total = call.inputs[0]
    for index, value in enumerate(call.inputs[1:-1]):
        key = call.part_key(str(index))
        total = call.emit(str(index), combine(key, total, value))
    return call.result(combine(call.key, total, call.inputs[-1]))
