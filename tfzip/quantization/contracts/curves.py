"""Activations that LiteRT has no kernel for, written with kernels it has, each on a grid that suits it.

The exponential is only taken of what is not positive. TensorFlow's own way, `log(1 + exp(x))`, has one grid
for all of `exp(x)`, whose step is above 1 as soon as `x` reaches 6. ReLU is folded into a product here: on
its own it would be folded into the operation before, which would then be computed twice.
"""

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from tfzip.quantization.call import Call
from tfzip.quantization.contracts.fixed import SYMMETRIC_ONE
from tfzip.quantization.emitters import Sum, Value

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def softplus(call: Call, source: Value) -> Value:
    """`max(x, 0) + log(1 + exp(-|x|))`."""
    return call.result(_softplus(call, source, call.key))


def mish(call: Call, source: Value) -> Value:
    """`x * tanh(softplus(x))`."""
    total = call.emit("softplus", _softplus(call, source, call.part_key("softplus")))
    gate = call.emit("tanh", ops.tanh(total.tensor), SYMMETRIC_ONE)
    return call.result(call.emitter.multiply(call.key, source, gate))


def selu(call: Call, source: Value) -> Value:
    """`scale * max(x, 0) + scale * alpha * exp(min(x, 0)) - scale * alpha`."""
    bend = _SELU_SCALE * _SELU_ALPHA
    grown = _product(call, "grown", source, _SELU_SCALE, is_relu=True)
    flipped = _product(call, "flipped", source, -1.0, is_relu=True)
    low = _product(call, "low", flipped, -1.0)
    power = call.emit("exp", ops.exp(low.tensor))
    bent = _product(call, "bent", power, bend)
    total = call.emit("total", call.emitter.add(call.part_key("total"), grown, bent))
    return call.result(call.emitter.subtract(call.key, total, _constant(call, total, bend)))


CURVES: Mapping[str, Callable[[Call, Value], Value]] = {"softplus": softplus, "mish": mish, "selu": selu}
"""By the name of the activation."""


def _softplus(call: Call, source: Value, key: str) -> Any:
    emitter = call.emitter
    double = _product(call, "double", source, 2.0, is_relu=True)
    negative = call.emit("negative", emitter.subtract(call.part_key("negative"), source, double))  # -|x|
    power = call.emit("exp", ops.exp(negative.tensor))
    above = call.emit(
        "above_one", emitter.add(call.part_key("above_one"), power, _constant(call, power, 1.0))
    )
    log = call.emit("log", ops.log(above.tensor))
    return emitter.add(key, _product(call, "positive", double, 0.5), log)


def _product(call: Call, part: str, source: Value, factor: float, *, is_relu: bool = False) -> Value:
    key = call.part_key(part)
    product = call.emitter.multiply(key, source, _constant(call, source, factor))
    if isinstance(product, Sum):
        product = call.emitter.rounded(key, product)
    return call.emit(part, ops.relu(product) if is_relu else product)


def _constant(call: Call, source: Value, value: float) -> Value:
    return call.emitter.constant(ops.cast(value, source.tensor.dtype))
