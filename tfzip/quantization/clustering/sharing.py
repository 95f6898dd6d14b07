"""Two ways to share weights: what a kernel looks like once it is known which weights are one.

Rows are output channels. `index` numbers the code of each weight; -1 is a weight that is zero and stays zero.
"""

from typing import Any

import keras

TINY = 1e-30


def shared_by_channel(rows: Any, index: Any, clusters: int) -> Any:
    """Returns rows in which all weights of a channel with one code have their mean.

    Applied after an optimizer's step, a code moves by the mean of the updates of its members, all of which
    began at the same value. Under gradient descent that is a step along the mean of their gradients: Han et
    al. 2016, "Deep Compression", section 3, gathers the gradients of a code's members likewise, as their sum,
    which differs by a factor that is the number of members.

    Args:
        rows: Weights: (channels, weights of a channel).
        index: Codes, of the same shape.
        clusters: Number of codes of a channel.
    """
    means, code = _channel_means(rows, index, clusters)
    return _taken(means, code, index >= 0)


def shared_by_kernel(rows: Any, index: Any, clusters: int) -> Any:
    """Returns rows that are a scale for each channel times one codebook for the kernel.

    The first and the last code are -1 and 1, and every channel uses one of them. So a channel's scale is its
    largest weight, whatever each channel is multiplied by later: in a file with a scale for each channel,
    batch normalization folded in, the integers are those of one codebook. Codes are the least-squares fit
    to the rows under the scales of the outermost weights, then scales are the fit under these codes. Where
    nothing has moved, both fits return what they were given.

    Args:
        rows: Weights: (channels, weights of a channel).
        index: Codes, of the same shape; the lowest is 0 and the highest `clusters - 1`.
        clusters: Number of codes.
    """
    scales, codes = fitted_scales(rows, index, clusters)
    return scales * _taken(codes, keras.ops.where(index >= 0, index, 0), index >= 0)


def reassigned_by_channel(rows: Any, index: Any, clusters: int) -> Any:
    """Returns for each weight the code whose value is nearest, values being the means under `index`."""
    means, _ = _channel_means(rows, index, clusters)
    books = keras.ops.sort(keras.ops.reshape(means[:-1], (-1, clusters)), axis=1)
    return keras.ops.where(index >= 0, nearest(rows, books), -1)


def reassigned_by_kernel(rows: Any, index: Any, clusters: int) -> Any:
    """Returns for each weight the nearest code, codes and scales being those of `shared_by_kernel`."""
    scales, codes = fitted_scales(rows, index, clusters)
    return nearest_codes(rows, scales, keras.ops.sort(codes), index >= 0)


def nearest_codes(rows: Any, scales: Any, codes: Any, alive: Any) -> Any:
    """Returns the nearest code of each weight, with one of the outermost in each channel.

    A channel in which no weight is nearest to -1 or 1 gives one of them to its largest.

    Args:
        rows: Weights: (channels, weights of a channel).
        scales: Of each channel: (channels, 1).
        codes: Ascending, from -1 to 1; more than one -1 are codes that are not used: (clusters,).
        alive: What is not zero for good, of the shape of the weights.

    Returns:
        Codes, of the shape of the weights; -1 where a weight is zero for good.
    """
    ops, last = keras.ops, codes.shape[0] - 1
    relative = rows / ops.where(ops.abs(scales) > TINY, scales, 1.0)
    index = ops.reshape(nearest(ops.reshape(relative, (1, -1)), codes[None]), relative.shape)
    index = ops.where(index < ops.sum(ops.cast(codes <= -1.0, "int32")), 0, index)
    has_outermost = ops.any(alive & ((index == 0) | (index == last)), axis=1, keepdims=True)
    top = ops.argmax(ops.where(alive, ops.abs(relative), 0.0), axis=1, keepdims=True)
    is_top = ops.arange(relative.shape[1], dtype=top.dtype)[None] == top
    index = ops.where(is_top & ~has_outermost, ops.where(relative > 0, last, 0), index)
    return ops.where(alive, index, -1)


def nearest(rows: Any, codes: Any) -> Any:
    """Returns the number of the nearest of ascending codes, row by row; the lower one at a tie.

    Args:
        rows: Numbers: (rows, numbers of a row).
        codes: Of each row: (rows, clusters).
    """
    import tensorflow as tf

    return tf.searchsorted(codes[:, 1:] / 2 + codes[:, :-1] / 2, rows)


def fitted_scales(rows: Any, index: Any, clusters: int) -> tuple[Any, Any]:
    """Returns the scales, (channels, 1), and the codes, (clusters,), of `shared_by_kernel`."""
    ops = keras.ops
    alive = index >= 0
    code = ops.where(alive, index, clusters)  # a last one for zeros
    outer = outer_scales(rows, index, clusters)
    safe = ops.where(ops.abs(outer) > TINY, outer, 1.0)
    weight = ops.where(alive, outer * outer, 0.0) * ops.ones_like(rows)
    codes = ops.clip(_segment_means(rows / safe, weight, code, clusters + 1)[:clusters], -1.0, 1.0)
    number = ops.arange(clusters, dtype="int32")
    codes = ops.where(number == 0, -1.0, ops.where(number == clusters - 1, 1.0, codes))
    values = _taken(codes, ops.where(alive, index, 0), alive)
    error = ops.sum((rows - outer * values) * values, axis=1, keepdims=True)
    squares = ops.sum(values * values, axis=1, keepdims=True)
    return outer + error / ops.maximum(squares, 1.0), codes


def outer_scales(rows: Any, index: Any, clusters: int) -> Any:
    """Returns the mean of each channel's weights with code -1 or 1, the former negated: (channels, 1).

    A channel that has lost these weights to pruning takes its largest.
    """
    ops = keras.ops
    sign = ops.cast(index == clusters - 1, rows.dtype) - ops.cast(index == 0, rows.dtype)
    signed = rows * sign
    count = ops.sum(ops.abs(sign), axis=1, keepdims=True)
    first = ops.max(ops.where(sign != 0, signed, -float("inf")), axis=1, keepdims=True)
    first = ops.where(count > 0, first, 0.0)
    rest = ops.sum(ops.where(sign != 0, signed - first, 0.0), axis=1, keepdims=True)
    left = ops.where(index >= 0, rows, 0.0)
    lean = ops.sum(left * ops.cast(2 * index - (clusters - 1), rows.dtype), axis=1, keepdims=True)
    largest = ops.sign(lean) * ops.max(ops.abs(left), axis=1, keepdims=True)
    return ops.where(count > 0, first + rest / ops.maximum(count, 1.0), largest)


def _channel_means(rows: Any, index: Any, clusters: int) -> tuple[Any, Any]:
    """Returns the mean of each code of each channel and last that of zeros, and which a weight has."""
    last = rows.shape[0] * clusters
    own = keras.ops.arange(rows.shape[0], dtype="int32")[:, None] * clusters
    code = keras.ops.where(index >= 0, index + own, last)
    return _segment_means(rows, keras.ops.ones_like(rows), code, last + 1), code


def _segment_means(values: Any, weight: Any, code: Any, count: int) -> Any:
    """Returns weighted means by code; those of equal values are exactly that value."""
    ops = keras.ops
    flat, weight, code = (ops.reshape(part, (-1,)) for part in (values, weight, code))
    first = ops.segment_max(flat, code, count)
    rest = ops.segment_sum(weight * (flat - ops.take(first, code)), code, count)
    total = ops.segment_sum(weight, code, count)
    return first + rest / ops.maximum(total, TINY)


def _taken(codes: Any, code: Any, alive: Any) -> Any:
    return keras.ops.where(alive, keras.ops.take(codes, code), 0.0)
