"""Products and sums with one number per channel, or one for all: converters fold them into kernels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfzip.graph.flat_graph import FlatNode

_WITH_CONSTANT = ("Add", "Subtract", "Multiply")


@dataclass(frozen=True)
class Channelwise:
    """`x * factor`, or `x + shift`: numbers, arrays or variables of shape (channels,) or ()."""

    factor: Any = None
    shift: Any = None


def channelwise(node: FlatNode, sizes: Sequence[int]) -> Channelwise | None:
    """Returns what a node does if that is a product or a sum with a constant along the last axis.

    Args:
        node: Any node.
        sizes: Sizes of its input, channels last.
    """
    kind, module = type(node.operation).__name__, type(node.operation).__module__
    if module.split(".")[0] != "keras" or len(node.inputs) != 1:
        return None
    if kind == "LayerScale":
        return Channelwise(factor=node.operation.gamma)
    if kind not in _WITH_CONSTANT or node.is_layer or len(node.args) != 2:
        return None
    is_first = getattr(node.args[0], "id", None) == node.inputs[0]
    if kind == "Subtract" and not is_first:
        return None
    constant = _per_channel(node.args[1] if is_first else node.args[0], sizes)
    if constant is None:
        return None
    if kind == "Multiply":
        return Channelwise(factor=constant)
    return Channelwise(shift=-constant if kind == "Subtract" else constant)


def _per_channel(constant: Any, sizes: Sequence[int]) -> Any:
    """Returns a constant along the last axis, a variable as it is; `None` if it is anything else."""
    is_variable = isinstance(constant, keras.Variable)
    is_number = isinstance(constant, int | float | np.number)
    if not (is_variable or is_number or isinstance(constant, np.ndarray) or keras.ops.is_tensor(constant)):
        return None
    shape, channels = tuple(np.shape(constant)), sizes[-1]
    along = (1,) * (len(shape) - 1) + (channels,)
    if len(shape) > len(sizes) or shape not in ((), (1,) * len(shape), along):
        return None
    if is_variable:
        return constant if shape in ((), (channels,)) else None
    values = np.asarray(constant, np.float32)
    return values.reshape(channels) if shape == along and shape else values.reshape(())
