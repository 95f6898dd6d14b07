"""Products and sums with one number per channel, or one for all: converters fold them into kernels."""

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


def channelwise(node: FlatNode, channels: int) -> Channelwise | None:
    """Returns what a node does if that is a product or a sum with a constant along the last axis.

    Args:
        node: A node with one input.
        channels: Size of the input's last axis.
    """
    kind = type(node.operation).__name__
    if kind == "LayerScale":
        return Channelwise(factor=node.operation.gamma)
    if kind not in _WITH_CONSTANT or node.is_layer or len(node.args) != 2:
        return None
    is_first = getattr(node.args[0], "id", None) == node.inputs[0]
    if kind == "Subtract" and not is_first:
        return None
    constant = _per_channel(node.args[1] if is_first else node.args[0], channels)
    if constant is None:
        return None
    if kind == "Multiply":
        return Channelwise(factor=constant)
    return Channelwise(shift=-constant if kind == "Subtract" else constant)


def _per_channel(constant: Any, channels: int) -> Any:
    """Returns a constant along the last axis, a variable as it is; `None` if it is anything else."""
    if isinstance(constant, keras.Variable):
        return constant if tuple(constant.shape) in ((), (channels,)) else None
    if not isinstance(constant, (int, float, np.ndarray, np.number)) and not keras.ops.is_tensor(constant):
        return None
    values = np.asarray(constant, np.float32)
    if values.size != 1 and values.shape[-1:] != (values.size,) != (channels,):
        return None
    return values.reshape(-1) if values.size == channels else values.reshape(())
