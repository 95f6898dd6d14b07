"""Convolutions and dense layers as matrix products: what a kernel reads for each number it makes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.quantization.weighted import WeightGroup

Array = NDArray[np.float32]
_PLAIN = ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")


class Unfolding:
    """A weighted operation as a product of rows and columns, with one block for each group of channels.

    The kernel becomes `(groups, weights, channels of a group)`; each place of the result reads one row of
    `(groups, weights)` numbers. Dense layers and plain convolutions have one group, depthwise ones have as
    many as they have input channels.

    Args:
        group: The operation; `can_unfold(group)` holds.
    """

    def __init__(self, group: WeightGroup) -> None:
        layer: Any = group.layer
        self._shape = tuple(group.kernel.shape)
        self._layer = layer
        self._is_first = group.kernel is getattr(layer, "depthwise_kernel", None)
        self._is_second = group.kernel is getattr(layer, "pointwise_kernel", None)
        self._is_depthwise = group.axes == (-2, -1)
        self.window = self._shape[:-2]
        self.groups = self._shape[-2] if self._is_depthwise else int(getattr(layer, "groups", 1))

    def columns(self, kernel: Array) -> Array:
        """Returns a kernel as `(groups, weights, channels of a group)`."""
        if self._is_depthwise:
            taps = kernel.reshape(-1, self.groups, 1, self._shape[-1])
        else:
            taps = kernel.reshape(int(np.prod(self.window)), self._shape[-2], self.groups, -1)
        if not self._is_depthwise:
            return taps.transpose(2, 0, 1, 3).reshape(self.groups, -1, taps.shape[-1])
        return taps.transpose(1, 0, 2, 3).reshape(self.groups, -1, self._shape[-1])

    def kernel(self, columns: Array) -> Array:
        """Returns the kernel that `columns` came from."""
        size = int(np.prod(self.window))
        blocks = columns.reshape(self.groups, size, -1, columns.shape[-1])
        axes = (1, 0, 2, 3) if self._is_depthwise else (1, 2, 0, 3)
        return np.ascontiguousarray(blocks.transpose(axes)).reshape(self._shape)

    def rows(self, tensor: Any) -> Any:
        """Returns what each place of the result reads: (places, groups, weights), places in order."""
        if not self.window:
            flat = tf.reshape(tensor, [-1, self._shape[0]])
            return flat[:, tf.newaxis]
        tensor, rank = _channels_last(self._layer, tensor), len(self.window)
        window, strides, rates, padding = self._geometry()
        if padding == "causal":
            tensor = tf.pad(tensor, [[0, 0], [rates[0] * (window[0] - 1), 0], [0, 0]])
        if rank == 1:
            tensor, window, strides, rates = tensor[:, tf.newaxis], (1, *window), (1, *strides), (1, *rates)
        patches = tf.image.extract_patches(
            tensor,
            [1, *window, 1],
            [1, *strides, 1],
            [1, *rates, 1],
            "SAME" if padding == "same" else "VALID",
        )
        size = int(np.prod(self.window))
        blocks = tf.reshape(patches, [-1, size, self.groups, tensor.shape[-1] // self.groups])
        blocks = tf.transpose(blocks, [0, 2, 1, 3])
        return tf.reshape(blocks, [-1, self.groups, size * blocks.shape[-1]])

    def places(self, result: Any) -> Any:
        """Returns the result of the operation with one row for each place: (places, channels)."""
        result = _channels_last(self._layer, result) if self.window else result
        return tf.reshape(result, [-1, result.shape[-1]])

    def _geometry(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str]:
        if self._is_second:
            return self.window, self.window, self.window, "valid"
        layer = self._layer
        return self.window, tuple(layer.strides), tuple(layer.dilation_rate), layer.padding


def can_unfold(group: WeightGroup) -> bool:
    """Whether an operation is a product that `Unfolding` knows: all but transposed and 3-D convolutions."""
    return isinstance(group.layer, keras.layers.Dense) or type(group.layer).__name__ in _PLAIN


def _channels_last(layer: Any, tensor: Any) -> Any:
    if layer.data_format == "channels_last":
        return tensor
    return tf.transpose(tensor, [0, *range(2, len(tensor.shape)), 1])
