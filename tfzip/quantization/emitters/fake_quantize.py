"""Rounds stored tensors to the grids of the file, with gradients that pass straight through.

Inside its range a rounded number has the gradient of the number itself, outside it has none (Jacob et al.
2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.emitters import Emitter, Kernel, Value
from tfzip.quantization.weighted import WeightGroup
from tfzip.schemes import Range, Scheme, TensorFormat


class FakeQuantize(Emitter):
    """Simulates a scheme.

    Args:
        scheme: Number formats.
        keys: Names of activations, in the order of `ranges`.
        ranges: Smallest and largest value of each activation: a float32 variable of (keys, 2).
        clipping: For kernels whose largest integer stands for less than their largest magnitude: that share
            of it, one number per channel.
        outputs: Keys of the model's outputs. Those on a grid of LiteRT's own, as probabilities are, are left
            as they are: one that is rounded to 0 would tell the loss nothing.
    """

    def __init__(
        self,
        scheme: Scheme,
        keys: Sequence[str],
        ranges: keras.Variable,
        clipping: Mapping[str, Any],
        outputs: Collection[str] = (),
    ) -> None:
        self.scheme = scheme
        self.rows = {key: row for row, key in enumerate(keys)}
        self.ranges = ranges
        self.clipping = clipping
        self.outputs = outputs

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:
        """Rounds an activation; one that was never observed stays as it is."""
        form = self.scheme.activations
        if form.kind != "int" or key not in self.rows or (fixed is not None and key in self.outputs):
            return tensor
        low, high = ops.unstack(self._range(key))
        rounded = tf.quantization.fake_quant_with_min_max_vars(
            tf.cast(tensor, tf.float32), low, high, num_bits=form.bits, narrow_range=form.symmetric
        )
        return tf.cast(rounded, tensor.dtype)

    def weight(self, group: WeightGroup, kernel: Any) -> tuple[Any, Any]:
        """Rounds a kernel to a grid that follows its magnitudes."""
        form = group.form(self.scheme)
        if form.kind != "int":
            return kernel, None
        lowest, highest = form.limits
        if not form.symmetric:
            stored = self.constant(kernel)
            return stored.tensor, stored.step
        step = ops.stop_gradient(self._step(group, kernel, form))
        spread = group.along_channels(step) if step.shape.rank else step
        rounded = ops.clip(ops.round(kernel / spread), lowest, highest) * spread
        inside = ops.clip(kernel, lowest * spread, highest * spread)
        return inside + ops.stop_gradient(rounded - inside), step

    def linear(self, source: Value, kernel: Kernel, apply: Callable[[Any, Any], Any]) -> Any:
        """Rounds the kernel, and the bias to multiples of the product of the steps of input and kernel."""
        bias = kernel.bias
        if bias is not None and self.is_integer(source) and self._is_integer_kernel(kernel):
            _, step = self.weight(kernel.group, kernel.values)
            grid = ops.stop_gradient(step * self.step(source.key))
            bias = bias + ops.stop_gradient(ops.round(bias / grid) * grid - bias)
        return super().linear(source, replace(kernel, bias=bias), apply)

    def is_integer(self, value: Value) -> bool:
        """Whether an activation is stored in integers."""
        is_known = value.step is not None or value.key in self.rows
        return is_known and self.scheme.activations.kind == "int"

    def constant(self, values: Any) -> Value:
        """Rounds a constant to a grid over its values and 0."""
        form = self.scheme.activations
        if form.kind != "int":
            return Value(values)
        values = ops.cast(values, "float32")
        low, high = ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), 0.0)
        if form.symmetric:
            high = ops.maximum(-low, high)
            low = -high
        rounded = tf.quantization.fake_quant_with_min_max_vars(
            values, low, high, num_bits=form.bits, narrow_range=form.symmetric
        )
        return Value(rounded, step=_divided(high - low, 2**form.bits - (2 if form.symmetric else 1)))

    def step_of(self, value: Value) -> Any:
        """Returns the step of the grid that a value lies on."""
        return self.step(value.key) if value.step is None else value.step

    def step(self, key: str | None) -> Any:
        """Returns the step of an activation's grid."""
        low, high = ops.unstack(self._range(key))
        form = self.scheme.activations
        return _divided(high - low, 2**form.bits - (2 if form.symmetric else 1))

    def steps_of(self, group: WeightGroup) -> Any:
        """Returns the steps of a kernel as it is now, one number per channel or one for all."""
        kernel = ops.convert_to_tensor(group.folded_kernel())
        return self._step(group, kernel, group.form(self.scheme))

    def _range(self, key: str | None) -> Any:
        return ops.convert_to_tensor(full_precision(self.ranges))[self.rows[str(key)]]

    def _is_integer_kernel(self, kernel: Kernel) -> bool:
        return kernel.group.form(self.scheme).kind == "int"

    def _step(self, group: WeightGroup, kernel: Any, form: TensorFormat) -> Any:
        magnitude = ops.abs(kernel)
        rest = [axis for axis in range(-len(kernel.shape), 0) if axis not in group.axes]
        largest = ops.reshape(ops.max(magnitude, axis=rest), [-1]) if form.per_channel else ops.max(magnitude)
        largest = ops.where(largest > 0, largest, ops.ones_like(largest))
        return _divided(largest * self.clipping.get(group.key, 1.0), form.limits[1])


def _divided(values: Any, number: int) -> Any:
    """Returns correctly rounded quotients: TensorFlow would multiply by the inverse, which is one bit off."""
    return ops.cast(ops.cast(values, "float64") / number, "float32")
