"""Rounds stored tensors to the grids of the file, with gradients that pass straight through.

Inside its range a rounded number has the gradient of the number itself, outside it has none (Jacob et al.
2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.weighted import WeightGroup
from tfzip.quantization_record import Range
from tfzip.schemes import Scheme, TensorFormat


class FakeQuantize:
    """Simulates a scheme.

    Args:
        scheme: Number formats.
        keys: Names of activations, in the order of `ranges`.
        ranges: Smallest and largest value of each activation: a float32 variable of (keys, 2).
        clipping: For kernels whose largest integer stands for less than their largest magnitude: that share
            of it, one number per channel.
    """

    def __init__(
        self,
        scheme: Scheme,
        keys: Sequence[str],
        ranges: keras.Variable,
        clipping: Mapping[str, Any],
    ) -> None:
        self.scheme = scheme
        self.rows = {key: row for row, key in enumerate(keys)}
        self.ranges = ranges
        self.clipping = clipping

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:  # noqa: ARG002 (the row holds it)
        """Rounds an activation; one that was never observed stays as it is."""
        form = self.scheme.activations
        if form.kind != "int" or key not in self.rows:
            return tensor
        low, high = ops.unstack(self._range(key))
        rounded = tf.quantization.fake_quant_with_min_max_vars(
            tf.cast(tensor, tf.float32), low, high, num_bits=form.bits, narrow_range=form.symmetric
        )
        return tf.cast(rounded, tensor.dtype)

    def moved(self, key: str, tensor: Any) -> None:
        """Nothing: the values are on the grid already."""

    def weight(self, group: WeightGroup, kernel: Any) -> tuple[Any, Any]:
        """Rounds a kernel to a grid that follows its magnitudes."""
        form = self.scheme.weights_of(group.path)
        if form.kind != "int":
            return kernel, None
        lowest, highest = form.limits
        step = ops.stop_gradient(self._step(group, kernel, form))
        spread = group.along_channels(step) if step.shape.rank else step
        rounded = ops.clip(ops.round(kernel / spread), lowest, highest) * spread
        inside = ops.clip(kernel, lowest * spread, highest * spread)
        return inside + ops.stop_gradient(rounded - inside), step

    def bias(self, bias: Any, source: str | None, step: Any) -> Any:
        """Rounds a bias to multiples of the product of the steps of input and kernel."""
        if step is None or source not in self.rows or self.scheme.activations.kind != "int":
            return bias
        low, high = ops.unstack(self._range(source))
        levels = 2**self.scheme.activations.bits - (2 if self.scheme.activations.symmetric else 1)
        grid = ops.stop_gradient(step * (high - low) / levels)
        return bias + ops.stop_gradient(ops.round(bias / grid) * grid - bias)

    def unify(self, keys: Sequence[str]) -> None:
        """Nothing: tensors on one grid were given one range."""

    def steps_of(self, group: WeightGroup) -> Any:
        """Returns the steps of a kernel as it is now, one number per channel or one for all."""
        kernel = ops.convert_to_tensor(group.folded_kernel())
        return self._step(group, kernel, self.scheme.weights_of(group.path))

    def _range(self, key: str) -> Any:
        return ops.convert_to_tensor(full_precision(self.ranges))[self.rows[key]]

    def _step(self, group: WeightGroup, kernel: Any, form: TensorFormat) -> Any:
        magnitude = ops.abs(kernel)
        rest = [axis for axis in range(-len(kernel.shape), 0) if axis not in group.axes]
        largest = ops.reshape(ops.max(magnitude, axis=rest), [-1]) if form.per_channel else ops.max(magnitude)
        largest = ops.where(largest > 0, largest, ops.ones_like(largest))
        return largest * self.clipping.get(group.key, 1.0) / form.limits[1]
