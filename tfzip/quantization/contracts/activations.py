"""Activations: fixed grids, and those that become several operations."""

from typing import Any

from keras import ops

from tfzip.graph.lowering import activation_of
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.contracts.curves import CURVES
from tfzip.quantization.contracts.fixed import PROBABILITY, SYMMETRIC_ONE
from tfzip.quantization.emitters import Value

_NAMES = (
    *("Activation", "ELU", "ReLU", "Softmax"),
    *(
        "Elu",
        "Gelu",
        "HardSigmoid",
        "HardSilu",
        "Mish",
        "Relu",
        "Relu6",
        "Selu",
        "Sigmoid",
        "Silu",
        "Softplus",
    ),
    "Tanh",
)


@contract(*_NAMES)
def activation(call: Call) -> Value:
    """An activation that stands alone."""
    name = activation_of(call.node) or type(call.layer).__name__.lower()
    return _named(call, call.inputs[0], name, lambda _: call.run())


def activate(call: Call, tensor: Any, function: Any) -> Value:
    """The activation that a layer ends in; those that are not folded see a stored tensor."""
    name = str(getattr(function, "__name__", "custom"))
    if name in ("relu", "relu6"):
        return call.result(tensor, activation=function)
    return _named(call, call.emit("linear", tensor), name, function)


def _named(call: Call, source: Value, name: str, function: Any) -> Value:
    if name == "linear":
        return call.passed_on(source.tensor, source)
    if source.key is not None and name in ("silu", "swish"):
        gate = call.emit("sigmoid", ops.sigmoid(source.tensor), PROBABILITY)
        return call.result(call.emitter.multiply(call.key, source, gate))
    if source.key is not None and name in ("hard_silu", "hard_swish"):
        return call.result(call.emitter.hard_swish(call.key, source))
    if source.key is not None and name == "hard_sigmoid":
        return _hard_sigmoid(call, source)
    if source.key is not None and name in CURVES:
        return CURVES[name](call, source)
    fixed = {"softmax": PROBABILITY, "sigmoid": PROBABILITY, "tanh": SYMMETRIC_ONE}.get(name)
    return call.result(function(source.tensor), fixed)


def _hard_sigmoid(call: Call, source: Value) -> Value:
    """`relu6(x + 3) / 6`: a sum with the cap folded in, and a product."""
    emitter, dtype = call.emitter, source.tensor.dtype
    total = emitter.add(call.part_key("shifted"), source, emitter.constant(ops.cast(3.0, dtype)))
    shifted = call.emit("shifted", ops.relu6(total))
    return call.result(emitter.multiply(call.key, shifted, emitter.constant(ops.cast(1 / 6, dtype))))
