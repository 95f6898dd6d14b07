"""What is still free once the integers are chosen: a step and a bias for each channel."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.quantization.rounding.product import Array, Product

Wide = NDArray[Any]
_LEAST, _MOST = 0.8, 1.25
_TINY = 1e-12


def refitted(product: Product, columns: Array, bias: Array, *, keep_bias: bool) -> tuple[Array, Array]:
    """Returns a factor for the step of each channel, and a bias, with less squared error.

    A straight line is fitted through results and targets of each channel, at the places where the
    activation lets one of them through.

    Args:
        product: What the operation reads and should make.
        columns: Rounded weights: (groups, weights, channels of a group).
        bias: The bias now: (channels,).
        keep_bias: Whether the line has to keep the bias, since the layer has no place for another.

    Returns:
        Factors and biases, both (channels,). Ones and the old biases where these are better.
    """
    linear = Product(product.rows, product.targets, lambda tensor: tensor)
    results = linear.results(columns, np.float32(0))[0].numpy().astype(np.float64)
    targets = product.targets.astype(np.float64)
    seen = _let_through(product, results + bias) | _let_through(product, targets)
    count = np.maximum(seen.sum(axis=0), 1)
    x_mean = 0.0 if keep_bias else (seen * results).sum(axis=0) / count
    y_mean = bias if keep_bias else (seen * targets).sum(axis=0) / count
    x, y = results - x_mean, targets - y_mean
    variance = (seen * x * x).sum(axis=0)
    slope = np.where(variance > _TINY, (seen * x * y).sum(axis=0) / np.maximum(variance, _TINY), 1.0)
    slope = np.clip(slope, _LEAST, _MOST).astype(np.float32)
    offset = (y_mean - slope * x_mean).astype(np.float32)
    offset = np.where(seen.any(axis=0), offset, bias).astype(np.float32)
    return _better(product, results, bias, slope, offset)


def _let_through(product: Product, values: Wide) -> Wide:
    through = np.asarray(product.activation(tf.constant(values, tf.float32)))
    return np.asarray(through == values.astype(np.float32))


def _better(product: Product, results: Wide, bias: Array, slope: Array, offset: Array) -> tuple[Array, Array]:
    """Returns, channel by channel, the line or what was there before."""
    wanted = np.asarray(product.activation(tf.constant(product.targets)))

    def errors(factor: Array | float, shift: Array) -> Wide:
        made = product.activation(tf.constant(results * factor + shift, tf.float32))
        error: Wide = np.square(np.asarray(made) - wanted).mean(axis=0)
        return error

    gains = errors(slope, offset) < errors(1.0, bias)
    return np.where(gains, slope, np.float32(1)), np.where(gains, offset, bias)
