"""What a criterion sees of a group of channels: arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """What one weight has of each channel.

    Attributes:
        weight: Name of the weight: `kernel`, `gamma`, ...
        role: `"out"` where it makes the channels, `"in"` where it reads them, `"channel"` where it does
            something to each.
        values: Of shape (channels, numbers of each).
        gradients: Of the loss, likewise; `None` unless the criterion needs them.
        start: The values before training, likewise; `None` unless the criterion needs them.
    """

    weight: str
    role: str
    values: Array
    gradients: Array | None = None
    start: Array | None = None

    @property
    def is_kernel(self) -> bool:
        """Whether these are weights of connections, and not a scale, a bias or a statistic."""
        return self.role != "channel" or "kernel" in self.weight


@dataclass(frozen=True)
class ChannelView:
    """A group of channels.

    Attributes:
        name: Of the group.
        size: How many channels there are.
        rows: One for each weight and axis along which they stand.
        activations: What the layers that read them receive on one batch: of shape (channels, examples,
            places) for each tensor that is read; empty unless the criterion needs them.
        seed: For what is drawn.
        loss_without: Returns the loss with zeros in place of some channels, given by their places in the
            group, less the loss with all of them; `None` unless the criterion needs it.
    """

    name: str
    size: int
    rows: tuple[Rows, ...]
    activations: tuple[Array, ...] = ()
    seed: int = 0
    loss_without: Callable[[Array], float] | None = None

    @property
    def kernels(self) -> tuple[Rows, ...]:
        """Weights of connections that make or read the channels."""
        return tuple(rows for rows in self.rows if rows.is_kernel)


def rows_of(values: Array, axis: int, places: Array) -> Array:
    """Returns the numbers of a weight by channel.

    Args:
        values: The weight.
        axis: The one that the channels stand along.
        places: Positions of each, of shape (channels, times).
    """
    return np.moveaxis(values, axis, 0)[places].reshape(len(places), -1)
