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
    channels = rows.shape[0]
    alive = index >= 0
    own = keras.ops.arange(channels, dtype="int32")[:, None] * clusters
    code = keras.ops.where(alive, index + own, channels * clusters)  # a last one for zeros
    means = _segment_means(rows, keras.ops.ones_like(rows), code, channels * clusters + 1)
    return _taken(means, code, alive)


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
