"""What LiteRT computes for each kind of Keras operation, one small function for each family.

A contract runs one call and emits every tensor that LiteRT stores on the way, so that the simulation rounds
where the file rounds. An operation without a contract runs as Keras runs it, and its results are stored on
grids of their own; if LiteRT takes several operations for it, those inside are not simulated.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import keras

from tfzip.graph.flat_graph import FlatNode
from tfzip.quantization.call import Call
from tfzip.quantization.emitters import Value

Contract = Callable[[Call], Value | Sequence[Value]]
_CONTRACTS: dict[str, tuple[Contract, Callable[[FlatNode], bool]]] = {}
_INCOMPLETE: set[str] = set()
_FAMILIES = (
    *("weighted", "same_scale", "activations", "arithmetic", "single", "pooling", "normalization"),
    *("row_normalization", "attention", "recurrent", "architectures"),
)


def contract(
    *names: str, where: Callable[[FlatNode], bool] = lambda _: True, is_complete: bool = True
) -> Callable[[Contract], Contract]:
    """Makes a function the contract of the stock layers and `keras.ops` operations of these class names.

    Args:
        *names: Names of classes.
        where: Whether it holds for a call. Defaults to all calls.
        is_complete: Whether it emits everything that LiteRT stores. Defaults to True.
    """

    def register(function: Contract) -> Contract:
        _CONTRACTS.update(dict.fromkeys(names, (function, where)))
        if not is_complete:
            _INCOMPLETE.update(names)
        return function

    return register


def contract_of(node: FlatNode) -> Contract:
    """Returns the contract of a call, `whole` where there is none of its own."""
    if type(node.operation).__module__.split(".")[0] != "keras":
        return whole
    found, where = _CONTRACTS.get(type(node.operation).__name__, (whole, bool))
    return found if where(node) else whole


def is_complete(node: FlatNode) -> bool:
    """Whether the contract of a call emits everything that LiteRT stores."""
    return contract_of(node) is not whole and type(node.operation).__name__ not in _INCOMPLETE


def whole(call: Call) -> Sequence[Value]:
    """Runs an operation as Keras does and stores its results; what is inside is not simulated."""
    results: list[Any] = keras.tree.flatten(call.run())
    if len(results) == 1:
        return [call.result(results[0])]
    return [call.emit(str(index), result) for index, result in enumerate(results)]


for _family in _FAMILIES:
    import_module(f"{__name__}.{_family}")
