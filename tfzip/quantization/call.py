"""One operation of the model while it is simulated: what a contract reads, and where it emits tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from tfzip.graph.flat_graph import FlatNode
from tfzip.quantization.emitters import Emitter, Sum, Value
from tfzip.quantization.weighted import WeightGroup
from tfzip.schemes import Range


@dataclass(frozen=True)
class Call:
    """One operation with what is folded into it.

    Attributes:
        node: The operation.
        inputs: What it reads, in the order of `node.inputs`.
        key: Name of its result.
        path: Name under which tensors inside it go.
        emitter: What happens to tensors.
        groups: Its kernels, for weighted layers.
        batch_statistics: Whether batch normalization uses and updates the statistics of the batch.
        tail: What is folded in behind it: activations, for example.
        compute: Runs the operation on other tensors, in the order of `node.inputs`.
    """

    node: FlatNode
    inputs: tuple[Value, ...]
    key: str
    path: str
    emitter: Emitter
    groups: tuple[WeightGroup, ...]
    batch_statistics: bool
    tail: Callable[[Any], Any]
    compute: Callable[[Sequence[Any]], Any]

    @property
    def layer(self) -> Any:
        """The operation itself."""
        return self.node.operation

    @property
    def tensors(self) -> list[Any]:
        """The tensors it reads."""
        return [value.tensor for value in self.inputs]

    def run(self) -> Any:
        """Runs the operation as Keras does."""
        return self.compute(self.tensors)

    def part_key(self, part: str) -> str:
        """Returns the name of a tensor inside the operation."""
        return f"{self.path}/{part}"

    def emit(self, part: str, tensor: Any, fixed: Range | None = None) -> Value:
        """Returns a tensor inside the operation as LiteRT stores it."""
        key = self.part_key(part)
        if isinstance(tensor, Sum):
            tensor = self.emitter.rounded(key, tensor)
        return self._stored(key, tensor, fixed)

    def result(
        self, tensor: Any, fixed: Range | None = None, activation: Callable[[Any], Any] | None = None
    ) -> Value:
        """Returns the result of the operation as LiteRT stores it, with what is folded in behind."""
        if isinstance(tensor, Sum):
            tensor = self.emitter.rounded(self.key, tensor)
        return self._stored(self.key, self.tail(activation(tensor) if activation else tensor), fixed)

    def same_grid(self, values: Sequence[Value]) -> list[Value]:
        """Returns values on one grid, which those grow to that can."""
        free = [value.key for value in values if value.key is not None and not value.fixed]
        if not free:
            return list(values)
        self.emitter.unify(free)
        return [
            value if value.key is None or not value.fixed else self._stored(free[0], value.tensor, None)
            for value in values
        ]

    def passed_on(self, tensor: Any, source: Value | None = None) -> Value:
        """Returns a result that stays on the grid of what it was made from."""
        source, tensor = source or self.inputs[0], self.tail(tensor)
        if source.key is not None:
            tensor = self.emitter.moved(source.key, tensor)
        return replace(source, tensor=tensor)

    def _stored(self, key: str, tensor: Any, fixed: Range | None) -> Value:
        if not keras.backend.is_float_dtype(tensor.dtype):
            return Value(tensor)
        return Value(self.emitter.tensor(key, tensor, fixed), key, fixed is not None)
