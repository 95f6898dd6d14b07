"""A kernel as rows, one for each output channel, and back."""

import math
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Rows:
    """Which axes of a kernel count output channels.

    Attributes:
        shape: The kernel's shape.
        axes: Axes that together count output channels, in order; none where the kernel is one row.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Number of rows."""
        return math.prod(self.shape[axis] for axis in self.axes)

    @property
    def per_channel(self) -> int:
        """Weights in a row."""
        return math.prod(self.shape) // self.channels

    @property
    def order(self) -> list[int]:
        """All axes, those of the channels first."""
        first = [axis % len(self.shape) for axis in self.axes]
        return first + [axis for axis in range(len(self.shape)) if axis not in first]

    def of(self, kernel: Any) -> Any:
        """Returns the rows of a kernel: (channels, weights of a channel)."""
        return keras.ops.reshape(keras.ops.transpose(kernel, self.order), (self.channels, -1))

    def kernel(self, rows: Any) -> Any:
        """Returns the kernel of rows."""
        parted = keras.ops.reshape(rows, [self.shape[axis] for axis in self.order])
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return keras.ops.transpose(parted, back)
