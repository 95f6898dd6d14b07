"""What LiteRT computes for each kind of Keras operation, one small function for each family.

A contract runs one call and emits every tensor that LiteRT stores on the way, so that the simulation rounds
where the file rounds. An operation without a contract runs as Keras runs it, and its results are stored on
grids of their own; if LiteRT takes several operations for it, those inside are not simulated.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import keras

from tfzip.quantization.call import Call
from tfzip.quantization.emitters import Value

Contract = Callable[[Call], Value | Sequence[Value]]
_CONTRACTS: dict[str, Contract] = {}
_FAMILIES = (
    *("weighted", "same_scale", "activations", "arithmetic", "single", "pooling", "normalization"),
    "row_normalization",
)


def contract(*names: str) -> Callable[[Contract], Contract]:
    """Makes a function the contract of the stock layers and `keras.ops` operations of these class names."""

    def register(function: Contract) -> Contract:
        _CONTRACTS.update(dict.fromkeys(names, function))
        return function

    return register


def contract_of(operation: keras.Operation) -> Contract:
    """Returns the contract of an operation, `whole` where there is none of its own."""
    is_stock = type(operation).__module__.split(".")[0] == "keras"
    return _CONTRACTS.get(type(operation).__name__, whole) if is_stock else whole


def whole(call: Call) -> Sequence[Value]:
    """Runs an operation as Keras does and stores its results; what is inside is not simulated."""
    results: list[Any] = keras.tree.flatten(call.run())
    if len(results) == 1:
        return [call.result(results[0])]
    return [call.emit(str(index), result) for index, result in enumerate(results)]


for _family in _FAMILIES:
    import_module(f"{__name__}.{_family}")
