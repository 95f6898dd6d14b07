"""How channels pass each kind of Keras operation, one small file for each family.

A rule says which axes of inputs, weights and results are the same axis. An operation without a rule stops
channels: they all stay, and its path is named.
"""

from collections.abc import Callable, Sequence
from importlib import import_module

import keras

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall, Rule
from tfzip.graph.flat_graph import FlatNode

_RULES: dict[str, Rule] = {}
_FAMILIES = (
    *("convolution", "dense", "normalization", "elementwise", "windows", "shapes", "joins", "reductions"),
    *("attention", "recurrent"),
)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Makes a function the rule of the stock layers and `keras.ops` operations of these class names."""

    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return register


def rule_of(node: FlatNode) -> Rule:
    """Returns the rule of a call, one that stops where there is none."""
    operation = node.operation
    is_layer = isinstance(operation, keras.Layer)
    if type(operation).__module__.split(".")[0] != "keras":  # a subclass may do anything, whatever its name
        return _stop("it is code that channels cannot be followed through")
    if is_layer and (
        getattr(operation, "lora_enabled", False) or getattr(operation, "quantization_mode", None)
    ):
        return _stop("its kernel is quantized or has a low-rank part beside it")
    name = type(operation).__name__
    return _RULES.get(name, _stop(f"there is no rule for {name}"))


def _stop(reason: str) -> Rule:
    def stop(_: ChannelCall) -> Sequence[Axes]:
        raise Barrier(reason)

    return stop


for _family in _FAMILIES:
    import_module(f"{__name__}.{_family}")
