"""Where the inputs and outputs of a kernel stand, so that a pattern sees every kernel alike."""

from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.graph.keras_nodes import all_layers, own_variables


@dataclass(frozen=True)
class KernelLayout:
    """The axes of a kernel by what they are; those of neither kind are places, such as of a window.

    Attributes:
        shape: Of the kernel.
        inputs: Axes along which an output sums.
        outputs: Axes of what it makes.
    """

    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def arranged_shape(self) -> tuple[int, ...]:
        """Places, then one axis of all inputs, then one of all outputs."""
        sizes = [prod(self.shape[axis] for axis in axes) for axes in (self.inputs, self.outputs)]
        return (*(self.shape[axis] for axis in self._places), *sizes)

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Returns an array of the kernel's shape in the arranged one."""
        return values.transpose(self._order).reshape(self.arranged_shape)

    def restored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Returns an array of the arranged shape in that of the kernel."""
        ordered = values.reshape([self.shape[axis] for axis in self._order])
        return ordered.transpose(np.argsort(self._order))

    @property
    def _places(self) -> list[int]:
        return [axis for axis in range(len(self.shape)) if axis not in (*self.inputs, *self.outputs)]

    @property
    def _order(self) -> list[int]:
        return [*self._places, *self.inputs, *self.outputs]


def layout_of(layer: keras.Layer, variable: Any) -> KernelLayout:
    """Returns the layout of a variable of a layer, or of a layer inside it."""
    shape = tuple(variable.shape)
    last = len(shape) - 1
    holder = next(one for one in all_layers(layer) if any(own is variable for own in own_variables(one)))
    kind = type(holder).__name__
    if isinstance(holder, keras.layers.EinsumDense):
        read, _, made = holder.equation.replace(" ", "").replace("...", "").partition("->")
        summed, letters = read.split(",")
        inputs = [axis for axis, letter in enumerate(letters) if letter in summed and letter not in made]
        outputs = [axis for axis, letter in enumerate(letters) if letter in made and letter not in summed]
        return KernelLayout(shape, tuple(inputs), tuple(outputs))
    if kind.startswith("Depthwise") or variable.name == "depthwise_kernel":  # an output reads one channel
        return KernelLayout(shape, (), (last - 1, last))
    if kind.endswith("Transpose"):
        return KernelLayout(shape, (last,), (last - 1,))
    return KernelLayout(shape, (last - 1,), (last,))
