"""Lets layers be traced with operations that LiteRT has integer kernels for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfzip.graph.keras_nodes import all_operations, replace_call
from tfzip.quantization.written_out import pooled_in_two_steps, written_out
from tfzip.schemes import Scheme


@contextmanager
def without_float_islands(model: keras.Model, scheme: Scheme) -> Iterator[None]:
    """Replaces, inside the block, what would stay in float or has no kernel at all.

    What has kernels for float is replaced for schemes of integer activations only. Of `keras.ops`, the
    operations of Functional graphs are replaced, but not the functions that a user's `call` runs.

    Args:
        model: It is afterwards what it was.
        scheme: What the file will be.
    """
    undo: list[Callable[[], None]] = []
    try:
        for operation in all_operations(model):
            functions = pooled_in_two_steps(operation)
            if scheme.needs_calibration:
                functions |= written_out(operation)
            undo += [_replaced(operation, name, function) for name, function in functions.items()]
        yield
    finally:
        for one in reversed(undo):
            one()


def _replaced(operation: Any, name: str, function: Callable[..., Any]) -> Callable[[], None]:
    if name == "call" and isinstance(operation, keras.Layer):
        return replace_call(operation, function)
    own = vars(operation)
    before = {name: own[name]} if name in own else {}
    own[name] = function

    def undo() -> None:
        own.pop(name)
        own.update(before)

    return undo
