"""Sums, differences and products of activations; of several, LiteRT takes two at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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
    operands = _operands(call)
    if len(operands) < 2 or any(value.key is None for value in call.inputs):
        return call.result(call.run())
    total = operands[0]
    for index, value in enumerate(operands[1:-1]):
        key = call.part_key(str(index))
        total = call.emit(str(index), combine(key, total, value))
    return call.result(combine(call.key, total, operands[-1]))


def _operands(call: Call) -> Sequence[Value]:
    """Returns what is combined: activations, or of an operation of `keras.ops` one and a constant."""
    args = call.node.args
    if len(call.inputs) != 1 or call.node.is_layer or len(args) != 2:
        return call.inputs
    (source,) = call.inputs
    is_source = [getattr(given, "id", None) == call.node.inputs[0] for given in args]
    ranks = [len(np.shape(given)) for given, skip in zip(args, is_source, strict=True) if not skip]
    if type(call.layer).__name__ == "Add" and max(ranks, default=0) > 1:
        return call.inputs  # Keras adds along the channels whatever could be a bias, so that it has to do it
    return [
        source if skip else call.emitter.constant(ops.cast(given, source.tensor.dtype))
        for given, skip in zip(args, is_source, strict=True)
    ]
