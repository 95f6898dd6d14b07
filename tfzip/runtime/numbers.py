"""Numbers as the file holds them: its integer grid, and distances counted in steps of a format."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError, FileFormatError, OptionError

_ORDERED: dict[np.dtype[Any], type[np.signedinteger[Any]]] = {
    np.dtype(np.float32): np.int32,
    np.dtype(np.float16): np.int16,
}


def quantize(array: ArrayLike, spec: TensorSpec) -> NDArray[Any]:
    """Converts values to the number format of a tensor, bit for bit as LiteRT's QUANTIZE does.

    For an integer tensor with a scale that is `q = clip(rint(x * (1 / s)) + z)`: the reciprocal and the
    product in float32, ties to even, saturating. (Dividing instead, or rounding ties away from zero as older
    kernels did, differs by one step on ties.) Without a scale the values must be whole numbers of the type.

    Args:
        array: Values of any shape.
        spec: Input or output of a file.

    Returns:
        An array of the same shape and of `spec.dtype`.

    Raises:
        DataError: The tensor has no scale and a value is not one of its type.
        FileFormatError: The file's scale is not a positive number.
    """
    dtype, values = np.dtype(spec.dtype), np.asarray(array)
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if spec.scale == 0.0:
        return _whole(values, spec, low, high)
    steps = np.rint(values.astype(np.float32) * (np.float32(1.0) / _checked_scale(spec)))
    shifted = steps.astype(np.float64) + spec.zero_point
    quantized: NDArray[Any] = np.clip(shifted, low, high).astype(dtype)
    return quantized


def dequantize(array: ArrayLike, spec: TensorSpec) -> NDArray[Any]:
    """Converts what a tensor holds to the values it stands for, as LiteRT's DEQUANTIZE does: `s * (q - z)`.

    Bit for bit what XNNPACK computes; the builtin int8 kernel distributes the product and differs in the last
    bits.

    Args:
        array: Numbers of `spec.dtype`, of any shape.
        spec: Input or output of a file.

    Returns:
        A float32 array for an integer tensor with a scale; otherwise the array as it is.
    """
    values = np.asarray(array)
    if spec.scale == 0.0 or not np.issubdtype(values.dtype, np.integer):
        return values
    return (values.astype(np.int64) - spec.zero_point).astype(np.float32) * _checked_scale(spec)


def saturated(expected: ArrayLike, spec: TensorSpec) -> NDArray[np.bool_]:
    """Returns where values lie more than a step outside the grid of an integer tensor; False without a grid.

    The one step is for softmax, whose grid ends a step below 1.0 by LiteRT's specification.
    """
    values = np.asarray(expected)
    if spec.scale == 0.0 or not np.issubdtype(np.dtype(spec.dtype), np.integer):
        return np.zeros(values.shape, np.bool_)
    limits, scale = np.iinfo(spec.dtype), float(_checked_scale(spec))
    low, high = ((limit - spec.zero_point) * scale for limit in (limits.min - 1, limits.max + 1))
    return np.asarray((values < low) | (values > high))


def lsb_distance(held: ArrayLike, expected: ArrayLike, spec: TensorSpec) -> NDArray[np.float64]:
    """Returns by how many steps of its grid a tensor misses the nearest representation of what is expected.

    Args:
        held: Numbers of an integer tensor.
        expected: Real values it should stand for, of the same shape.
        spec: The tensor.

    Returns:
        Whole numbers >= 0, as float64, of the same shape.
    """
    wanted = quantize(expected, spec).astype(np.float64)
    return np.abs(np.asarray(held).astype(np.float64) - wanted)


def ulp_distance(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Returns how many floating-point numbers lie between two arrays.

    The bits of a float, read as a sign and a magnitude, count the floats from zero, so the distance is a
    difference of integers; -0.0 and 0.0 are the same (Dawson 2012, "Comparing floating point numbers").

    Args:
        a: Array of float32 or float16.
        b: Array of the same type and shape.

    Returns:
        Distances >= 0 as float64; infinity where exactly one of the two is NaN.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.dtype != second.dtype or first.dtype not in _ORDERED:
        raise OptionError(
            "ulp_distance needs two arrays of float32 or two of float16."
            f" Received: {first.dtype} and {second.dtype}."
        )
    distance = np.abs(_order(first) - _order(second)).astype(np.float64)
    unknown = np.isnan(first).astype(np.int8) + np.isnan(second).astype(np.int8)
    return np.where(unknown == 0, distance, np.where(unknown == 1, np.inf, 0.0))


def sqnr_db(signal_energy: float, noise_energy: float) -> float:
    """Returns the signal to quantization noise ratio in decibels; infinity without noise."""
    if noise_energy == 0.0:
        return float("inf")
    if signal_energy == 0.0 or not np.isfinite(noise_energy):
        return float("-inf")
    return float(10.0 * np.log10(signal_energy / noise_energy))


def _order(floats: NDArray[Any]) -> NDArray[np.int64]:
    integer = _ORDERED[floats.dtype]
    bits = np.ascontiguousarray(floats).view(integer).astype(np.int64)
    return np.where(bits < 0, np.iinfo(integer).min - bits, bits)


def _checked_scale(spec: TensorSpec) -> np.float32:
    if not np.isfinite(spec.scale) or spec.scale <= 0.0:
        raise FileFormatError(
            f"Tensor {spec.name!r} has the scale {spec.scale}; a scale is a positive number."
            " The file is damaged: convert the model again."
        )
    return np.float32(spec.scale)


def _whole(values: NDArray[Any], spec: TensorSpec, low: int, high: int) -> NDArray[Any]:
    if not np.issubdtype(values.dtype, np.integer) and not np.array_equal(np.rint(values), values):
        raise DataError(f"{spec.name!r} takes whole numbers ({spec.dtype}). Received: {values.dtype} values.")
    if values.size and not (low <= values.min() and values.max() <= high):
        raise DataError(
            f"{spec.name!r} takes {spec.dtype} numbers from {low} to {high}."
            f" Received: {values.min()} to {values.max()}."
        )
    return values.astype(spec.dtype)
