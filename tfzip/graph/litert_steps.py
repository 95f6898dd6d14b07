"""What layers become in LiteRT when they become several operations: tables, read off converted files."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import keras


@dataclass(frozen=True)
class Step:
    """One operation of several.

    Attributes:
        reads: What it reads: first the arguments of the layer, then the results of earlier steps, counted on.
        in_place: Whether LiteRT may write the result over an argument.
        size: Name of the result's size; `"full"` is that of the layer's result.
    """

    reads: tuple[int, ...] = (0,)
    in_place: bool = False
    size: str = "full"


_SWISH = (Step(), Step((0, 1), True))
_ACTIVATIONS: dict[str, tuple[Step, ...]] = {
    "linear": (),
    "silu": _SWISH,
    "swish": _SWISH,
    "hard_sigmoid": (Step((0,), True), Step((1,), True)),
    "softmax": (Step((0,), True),),
}
_SCALE_AND_SHIFT = (Step((0,), True), Step((1,), True))
_LAYER_NORMALIZATION = (
    *(Step((0,), size="row"), Step((1,), size="row"), Step((0, 1))),  # mean, its negative, squared difference
    *(Step((3,), size="row"), Step((4,), True, "row"), Step((5,), size="row")),  # variance, + epsilon, rsqrt
    *(Step((6,)), Step((2, 7), True), Step((8,), True), Step((0, 7), True), Step((10, 9), True)),
)
# Of 0 query, 1 value: key, query, both turned, scores, scaled, softmax, value, turned, context, turned, out.
_ATTENTION = (
    *(
        Step((1,), size="keys"),
        Step((0,), size="queries"),
        Step((3,), size="queries"),
        Step((2,), size="keys"),
    ),
    *(Step((4, 5), size="scores"), Step((6,), True, "scores"), Step((7,), True, "scores")),
    *(Step((1,), size="values"), Step((9,), size="values"), Step((8, 10), size="context")),
    *(Step((11,), size="context"), Step((12,))),
)
_LAYERS = {
    "BatchNormalization": _SCALE_AND_SHIFT,
    "Normalization": _SCALE_AND_SHIFT,
    "Rescaling": _SCALE_AND_SHIFT,
    "LayerNormalization": _LAYER_NORMALIZATION,
    "MultiHeadAttention": _ATTENTION,
}


def steps_of_activation(name: str) -> tuple[Step, ...]:
    """Returns the operations of an activation that is not folded into what it follows."""
    return _ACTIVATIONS.get(name, (Step(),))


def steps_of_layer(operation: Any, num_inputs: int) -> tuple[Step, ...]:
    """Returns the operations of a layer, or nothing where it is one that reads all of its inputs."""
    kind = type(operation).__name__
    if kind.startswith("SeparableConv"):
        return Step(size="between"), Step((1,))
    if kind in ("Add", "Average", "Maximum", "Minimum", "Multiply") and num_inputs > 2:
        in_place = kind in ("Add", "Multiply")
        sums = range(num_inputs, 2 * num_inputs - 2)
        rest = (Step((total, index + 2), in_place) for index, total in enumerate(sums))
        return Step((0, 1), in_place), *rest
    return _LAYERS.get(kind, ())


def inner_sizes(
    operation: Any, inputs: list[tuple[int, ...]], result: tuple[int, ...]
) -> Mapping[str, float]:
    """Returns how big the named results inside a layer are, as multiples of the layer's own result."""
    sizes = {"full": 1.0, "row": 1 / result[-1]}
    if isinstance(operation, keras.layers.MultiHeadAttention):
        heads, key_size = operation.query_dense.kernel.shape[-2:]
        value_size = operation.value_dense.kernel.shape[-1]
        rows, columns = prod(inputs[0][:-1]), prod(inputs[1][:-1])
        numbers = {
            "queries": rows * heads * key_size,
            "keys": columns * heads * key_size,
            "values": columns * heads * value_size,
            "context": rows * heads * value_size,
            "scores": rows * columns // inputs[1][0] * heads,
        }
        sizes |= {name: number / prod(result) for name, number in numbers.items()}
    if type(operation).__name__.startswith("SeparableConv"):
        between, channels = operation.pointwise_kernel.shape[-2:]
        sizes["between"] = between / channels
    return sizes
