"""Rounds as LiteRT's kernels round, to the last bit: for inference, without gradients.

Accumulators are whole numbers far below 2**24, which float32 holds exactly. From there XNNPACK multiplies by
one float32 factor and rounds to even; its addition works with factors of 21 bits and rounds up. Convolutions
of 4 bits it leaves to LiteRT, whose matrix products have factors of 31 bits and round up at the first 31 bits
and once more at the rest; average pooling as well, which rounds away from zero.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tensorflow as tf
from keras import ops

from tfzip.quantization.emitters import Kernel, Sum, Value
from tfzip.quantization.emitters.fake_quantize import FakeQuantize
from tfzip.quantization.emitters.fixed_point import floor_log2, hard_swish, rounded_twice
from tfzip.schemes import Range

_FACTOR_BITS = 20
_XNNPACK_BITS = 8
_DENSE_AXES = 2


class IntegerKernels(FakeQuantize):
    """Simulates a scheme exactly where activations are integers."""

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:
        """Rounds to even after a product with the inverse of the step, as LiteRT's QUANTIZE."""
        form = self.scheme.activations
        if form.kind != "int" or key not in self.rows:
            return super().tensor(key, tensor, fixed)
        step, zero_point = self.step(key), self._zero_point(key)
        integers = ops.round(ops.cast(tensor, "float32") * (1.0 / step)) + zero_point
        return ops.cast((ops.clip(integers, *form.limits) - zero_point) * step, tensor.dtype)

    def linear(self, source: Value, kernel: Kernel, apply: Callable[[Any, Any], Any]) -> Any:
        """Accumulates integers."""
        if not (self.is_integer(source) and self._is_integer_kernel(kernel)):
            return super().linear(source, kernel, apply)
        stored, step = self.weight(kernel.group, kernel.values)
        spread = kernel.group.along_channels(step) if step.shape.rank else step
        source_step = self.step(source.key)
        total = apply(self._integers(source), ops.round(stored / spread))
        if kernel.bias is not None:
            total = total + kernel.align(ops.round(kernel.bias / (source_step * step)))
        is_narrow = kernel.group.form(self.scheme).bits < _XNNPACK_BITS
        is_dense = len(kernel.group.kernel.shape) == _DENSE_AXES
        return Sum(total, source_step, kernel.align(step), rounded_twice=is_narrow and not is_dense)

    def rounded(self, key: str, total: Sum) -> Any:
        """Multiplies by one factor and rounds to even; in LiteRT's own kernels, rounds up twice."""
        if key not in self.rows:
            return super().rounded(key, total)
        step = self.step(key)
        if total.rounded_twice:
            wide = [ops.cast(value, "float64") for value in (total.source_step, total.other_step, step)]
            return rounded_twice(total.integers, wide[0] * wide[1] / wide[2]) * step
        if total.zeros is not None:
            return self._rounded_mean(total, step, self._zero_point(key)) * step
        return ops.round(total.integers * (total.source_step * total.other_step / step)) * step

    def _rounded_mean(self, total: Sum, step: Any, zero_point: Any) -> Any:
        """Takes the zero points of the input out of the sum, and those of the result in, before rounding."""
        factor = total.source_step / step * total.other_step
        opposite = ops.cast(ops.cast(-total.zeros, "float64") * ops.cast(factor, "float64"), "float32")
        return ops.round((total.integers + total.zeros) * factor + opposite + zero_point) - zero_point

    def add(self, key: str, first: Value, second: Value) -> Any:
        """Adds with factors of few bits."""
        if not (self.is_integer(first) and self.is_integer(second) and key in self.rows):
            return super().add(key, first, second)
        step = self.step(key)
        factors = [self.step_of(first) / step, self.step_of(second) / step]
        exponent = ops.cast(floor_log2(ops.maximum(*factors)), "float32")
        unit = 2.0 ** (_FACTOR_BITS - exponent)
        total = sum(
            ops.cast(self._integers(value), "int32") * ops.cast(ops.round(factor * unit), "int32")
            for value, factor in zip((first, second), factors, strict=True)
        )
        half = ops.cast(unit / 2, "int32")
        shifted = tf.bitwise.right_shift(total + half, ops.cast(_FACTOR_BITS - exponent, "int32"))
        return ops.cast(shifted, "float32") * step

    def subtract(self, key: str, first: Value, second: Value) -> Any:
        """Adds the opposite."""
        return self.add(key, first, replace(second, tensor=-second.tensor))

    def multiply(self, key: str, first: Value, second: Value) -> Any:
        """Multiplies integers."""
        if not (self.is_integer(first) and self.is_integer(second) and key in self.rows):
            return super().multiply(key, first, second)
        numbers = [ops.cast(self._integers(value), "int32") for value in (first, second)]
        total = ops.cast(numbers[0] * numbers[1], "float32")  # TensorFlow may regroup products of floats
        return Sum(total, self.step_of(first), self.step_of(second))

    def mean(self, source: Value, mean: Any, count: int) -> Any:
        """Sums integers; the division is part of the one factor."""
        if not self.is_integer(source):
            return super().mean(source, mean, count)
        step = self.step(source.key)
        total = ops.round(ops.cast(mean, "float32") / step * count)
        zeros = self._zero_point(source.key) * count
        return Sum(total, step, ops.convert_to_tensor(1 / count, "float32"), zeros=zeros)

    def average(self, source: Value, mean: Any, count: Any) -> Any:
        """Divides the sum of the stored integers, zero point included, and rounds away from zero."""
        if not self.is_integer(source):
            return super().average(source, mean, count)
        step, zero_point = self.step(source.key), self._zero_point(source.key)
        total = ops.cast(ops.round((ops.cast(mean, "float32") / step + zero_point) * count), "int32")
        whole = ops.cast(count, "int32")  # TensorFlow would turn a quotient of floats into a product
        rounded = tf.sign(total) * ((2 * tf.abs(total) + whole) // (2 * whole))
        return (ops.cast(rounded, "float32") - zero_point) * step

    def interpolate(self, source: Value, function: Callable[[Any], Any]) -> Any:
        """Interpolates integers and rounds halves up."""
        if not self.is_integer(source):
            return super().interpolate(source, function)
        means = ops.cast(function(ops.cast(self._integers(source), source.tensor.dtype)), "float32")
        return ops.floor(means + 0.5) * self.step_of(source)

    def hard_swish(self, key: str, source: Value) -> Any:
        """Computes in 16 bits."""
        if not (
            self.is_integer(source) and key in self.rows and self.scheme.activations.bits == _XNNPACK_BITS
        ):
            return super().hard_swish(key, source)
        step = self.step(key)
        return hard_swish(self._integers(source), self.step_of(source), step) * step

    def _integers(self, value: Value) -> Any:
        return ops.round(ops.cast(value.tensor, "float32") / self.step_of(value))

    def _zero_point(self, key: str | None) -> Any:
        low, _ = ops.unstack(self._range(key))
        return ops.round(self.scheme.activations.limits[0] - low / self.step(key))
