"""Activations that LiteRT has no kernel for, written with kernels it has, each on a grid that suits it.

The exponential is only taken of what is not positive. TensorFlow's own way, `log(1 + exp(x))`, has one grid
for all of `exp(x)`, whose step is above 1 as soon as `x` reaches 6.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from keras import ops

from tfzip.quantization.call import Call
from tfzip.quantization.emitters import Value
from tfzip.quantization_record import Range

_ONE: Range = (-1.0, 127 / 128)
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def softplus(call: Call, source: Value) -> Value:
    """`max(x, 0) + log(1 + exp(-|x|))`."""
    return call.result(_softplus(call, source, call.key))


def mish(call: Call, source: Value) -> Value:
    """`x * tanh(softplus(x))`."""
    total = call.emit("softplus", _softplus(call, source, call.part_key("softplus")))
    gate = call.emit("tanh", ops.tanh(total.tensor), _ONE)
    return call.result(call.emitter.multiply(call.key, source, gate))


def selu(call: Call, source: Value) -> Value:
    """`scale * max(x, 0) + scale * alpha * exp(min(x, 0)) - scale * alpha`."""
    emitter, bend = call.emitter, _constant(call, source, _SELU_SCALE * _SELU_ALPHA)
    low, positive = _parted(call, source)
    grown = call.emit(
        "grown",
        emitter.multiply(call.part_key("grown"), positive, _constant(call, source, _SELU_SCALE)),
    )
    power = call.emit("exp", ops.exp(low.tensor))
    bent = call.emit("bent", emitter.multiply(call.part_key("bent"), power, bend))
    total = call.emit("total", emitter.add(call.part_key("total"), grown, bent))
    return call.result(emitter.subtract(call.key, total, bend))


CURVES: Mapping[str, Callable[[Call, Value], Value]] = {"softplus": softplus, "mish": mish, "selu": selu}
"""By the name of the activation."""


def _softplus(call: Call, source: Value, key: str) -> Any:
    emitter = call.emitter
    low, positive = _parted(call, source)
    negative = call.emit("negative", emitter.subtract(call.part_key("negative"), low, positive))
    power = call.emit("exp", ops.exp(negative.tensor))
    one = _constant(call, source, 1.0)
    grown = call.emit("grown", emitter.add(call.part_key("grown"), power, one))
    log = call.emit("log", ops.log(grown.tensor))
    return emitter.add(key, positive, log)


def _parted(call: Call, source: Value) -> tuple[Value, Value]:
    """Returns `min(x, 0)`, on the grid of `x`, and `max(x, 0)`, as a difference.

    A ReLU would be folded into the operation before, which would be computed once more for it.
    """
    low = replace(source, tensor=ops.minimum(source.tensor, 0.0))
    call.emitter.moved(str(source.key), low.tensor)
    return low, call.emit("positive", call.emitter.subtract(call.part_key("positive"), source, low))


def _constant(call: Call, source: Value, value: float) -> Value:
    return call.emitter.constant(ops.cast(value, source.tensor.dtype))
