"""What can be done to the tensors that a file stores while a model runs: observe, note, or round them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tfzip.quantization.weighted import WeightGroup
from tfzip.schemes import Range


@dataclass(frozen=True)
class Value:
    """A tensor and the grid it lies on.

    Attributes:
        tensor: What the simulation computed.
        key: Name of its grid; `None` for a tensor that has none, such as integers.
        fixed: Whether the grid is given by LiteRT and not by the values.
        step: Step of the grid of a constant, which has no name.
    """

    tensor: Any
    key: str | None = None
    fixed: bool = False
    step: Any = None


@dataclass(frozen=True)
class Kernel:
    """A kernel and a bias with batch normalization folded in.

    Attributes:
        group: Where the kernel comes from.
        values: The kernel, float32.
        bias: One number per channel, or `None`.
        align: Brings one number per channel into a shape that broadcasts against a result.
    """

    group: WeightGroup
    values: Any
    bias: Any
    align: Callable[[Any], Any]


@dataclass(frozen=True)
class Sum:
    """An integer accumulator and what one of its units stands for: a result before it is rounded.

    Attributes:
        integers: Whole numbers, as floats.
        source_step: Step of the activation that was read.
        other_step: Step of what it was multiplied by, in a shape that broadcasts against `integers`.
        rounded_twice: Whether LiteRT's own kernel computes it, since XNNPACK has none.
        zeros: Of a mean: what the zero points of all numbers together add to the sum, as a float.
    """

    integers: Any
    source_step: Any
    other_step: Any
    rounded_twice: bool = False
    zeros: Any = None


class Emitter:
    """Lets every tensor pass; its children do something to those that the file stores."""

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:  # noqa: ARG002
        """Takes an activation that LiteRT stores and returns what the file holds instead."""
        return tensor

    def moved(self, key: str, tensor: Any) -> Any:  # noqa: ARG002
        """Takes an activation that LiteRT stores on the grid of the tensor it was made from; returns it."""
        return tensor

    def unify(self, keys: Sequence[str]) -> None:
        """Takes note that tensors share one grid."""

    def weight(self, group: WeightGroup, kernel: Any) -> tuple[Any, Any]:  # noqa: ARG002
        """Takes a folded kernel; returns what the file holds and its step per channel, `None` if float."""
        return kernel, None

    def constant(self, values: Any) -> Value:
        """Takes a constant that is no kernel and returns what the file holds."""
        return Value(values)

    def linear(self, source: Value, kernel: Kernel, apply: Callable[[Any, Any], Any]) -> Any:
        """Returns `apply(activation, kernel)` and the bias: a tensor, or the `Sum` before rounding."""
        stored, _ = self.weight(kernel.group, kernel.values)
        result = apply(source.tensor, ops.cast(stored, source.tensor.dtype))
        return result if kernel.bias is None else result + ops.cast(kernel.align(kernel.bias), result.dtype)

    def rounded(self, key: str, total: Sum) -> Any:  # noqa: ARG002
        """Returns a sum as LiteRT rounds it to the grid `key`."""
        return total.integers * (total.source_step * total.other_step)

    def add(self, key: str, first: Value, second: Value) -> Any:  # noqa: ARG002
        """Returns the sum of two activations, to be stored on the grid `key`."""
        return first.tensor + second.tensor

    def subtract(self, key: str, first: Value, second: Value) -> Any:  # noqa: ARG002
        """Returns the difference of two activations, to be stored on the grid `key`."""
        return first.tensor - second.tensor

    def multiply(self, key: str, first: Value, second: Value) -> Any:  # noqa: ARG002
        """Returns the product of two activations, to be stored on the grid `key`: a tensor, or a `Sum`."""
        return first.tensor * second.tensor

    def mean(self, source: Value, mean: Any, count: int) -> Any:  # noqa: ARG002
        """Takes means of `count` numbers, to be stored on a grid of their own: a tensor, or a `Sum`."""
        return mean

    def average(self, source: Value, mean: Any, count: Any) -> Any:  # noqa: ARG002
        """Takes averages of `count` numbers on one grid and returns them as LiteRT rounds them to it.

        `count` is one number, or an array that broadcasts against the averages.
        """
        return mean

    def interpolate(self, source: Value, function: Callable[[Any], Any]) -> Any:
        """Returns what a function makes of an activation by weighted means, on the same grid."""
        return function(source.tensor)

    def hard_swish(self, key: str, source: Value) -> Any:  # noqa: ARG002
        """Returns `x * relu6(x + 3) / 6`, to be stored on the grid `key`."""
        return keras.activations.hard_silu(source.tensor)


def joined(sets: Sequence[Collection[str]], keys: Collection[str]) -> list[set[str]]:
    """Returns disjoint sets of keys after one more set: those that it meets have become one with it."""
    union, apart = set(keys), []
    for one in map(set, sets):
        if one & union:
            union |= one
        else:
            apart.append(one)
    return [*apart, union]
