"""LiteRT's own integer arithmetic, where XNNPACK has no kernel: factors of 31 and of 15 bits."""

from typing import Any

import tensorflow as tf
from keras import ops

_HIGH = 2**15
_PRECISION = 7  # bits that an input of 8 bits is shifted by
_CAP = 3.0  # hard swish is x * relu6(x + 3) / 6


def rounded_twice(integers: Any, factor: Any) -> Any:
    """Returns `integers * factor` as matrix products are scaled: rounded at 31 bits, and at the rest.

    Args:
        integers: Whole numbers, as floats.
        factor: float64.

    Returns:
        Whole numbers as float32.
    """
    mantissa, exponent = _multiplier(factor)
    right = ops.cast(ops.maximum(-exponent, 0), "int64")
    left = ops.cast(2.0 ** ops.maximum(exponent, 0), "int64")
    high = tf.bitwise.right_shift(
        ops.cast(integers, "int64") * left * ops.cast(mantissa, "int64") + 2**30, tf.constant(31, tf.int64)
    )
    half = tf.bitwise.left_shift(tf.ones_like(right), right) // 2
    return ops.cast(tf.bitwise.right_shift(high + half, right), "float32")


def hard_swish(integers: Any, source_step: Any, step: Any) -> Any:
    """Returns hard swish in steps of the result's grid, computed in 16 bits.

    Args:
        integers: The input in whole steps, of 8 bits, as floats.
        source_step: Step of the input, float32.
        step: Step of the result, float32.

    Returns:
        Whole numbers as float32, not yet clipped.
    """
    fine, fine_step = ops.cast(integers, "int32") * 2**_PRECISION, source_step / 2.0**_PRECISION
    factor, exponent = _short_multiplier(fine_step / step)
    scaled = _high_product(fine, factor)
    gate_factor, gate_exponent = _short_multiplier(fine_step * (_HIGH / _CAP))
    left, right = ops.maximum(gate_exponent, 0), ops.maximum(-gate_exponent, 0)
    gate = _saturated(tf.bitwise.left_shift(fine, ops.maximum(left - 1, 0)))
    gate = _high_product(gate, gate_factor)
    gate = _saturated(tf.bitwise.left_shift(gate, ops.minimum(left, 1)))
    gate = tf.bitwise.right_shift(_rounding_shift(gate, right) + _HIGH, 1)
    product = tf.truncatediv(gate * scaled, _HIGH)
    return ops.cast(_rounding_shift(product, -exponent), "float32")


def floor_log2(values: Any) -> Any:
    """Returns the largest `e` with `2**e <= values` for positive float32 or float64, exactly, as int32."""
    is_double = values.dtype == tf.float64
    bits = tf.bitcast(values, tf.int64 if is_double else tf.int32)
    places, bias = (52, 1023) if is_double else (23, 127)
    return ops.cast(tf.bitwise.right_shift(bits, places) - bias, "int32")


def _multiplier(factor: Any) -> tuple[Any, Any]:
    """Returns 31 bits of a float64, rounded, and the exponent of the number they are divided by 2**31 in."""
    exponent = ops.cast(floor_log2(factor) + 1, "float64")
    return ops.round(factor / 2.0**exponent * 2.0**31), exponent


def _short_multiplier(factor: Any) -> tuple[Any, Any]:
    """Returns 15 bits of a float32 and its exponent, as int32."""
    mantissa, exponent = _multiplier(ops.cast(factor, "float64"))
    short = ops.minimum(ops.floor((mantissa + 2.0**15) / 2.0**16), _HIGH - 1)
    return ops.cast(short, "int32"), ops.cast(exponent, "int32")


def _high_product(values: Any, factor: Any) -> Any:
    """Returns `values * factor / 2**15`, rounded to the nearest, halves away from zero."""
    product = values * factor
    return tf.truncatediv(product + ops.where(product >= 0, _HIGH // 2, 1 - _HIGH // 2), _HIGH)


def _rounding_shift(values: Any, places: Any) -> Any:
    """Returns `values / 2**places`, rounded to the nearest, halves away from zero."""
    mask = tf.bitwise.left_shift(1, places) - 1
    threshold = tf.bitwise.right_shift(mask, 1) + ops.cast(values < 0, "int32")
    above = ops.cast(tf.bitwise.bitwise_and(values, mask) > threshold, "int32")
    return tf.bitwise.right_shift(values, places) + above


def _saturated(values: Any) -> Any:
    return ops.clip(values, -_HIGH, _HIGH - 1)
