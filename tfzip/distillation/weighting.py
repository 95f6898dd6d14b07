"""Means with sample weights, as Keras takes them."""

from typing import Any

import keras


def mean_of(values: Any, sample_weight: Any, position: int) -> Any:
    """Returns the sum of weighted values over their count.

    Args:
        values: Shape (batch, ...).
        sample_weight: None; weights of shape (batch,), (batch, 1), or with the positions of the values, as
            the mask of a map has; or one of these for each output, in the outputs' structure.
        position: Of the output that the values are of, among those that have weights of their own.
    """
    weights = [one for one in keras.tree.flatten(sample_weight) if one is not None]
    if not weights:
        return keras.ops.mean(values)
    weight = keras.ops.cast(weights[min(position, len(weights) - 1)], values.dtype)
    rank = len(values.shape)
    while len(weight.shape) > max(rank, 1) and weight.shape[-1] == 1:
        weight = keras.ops.squeeze(weight, axis=-1)
    while len(weight.shape) > rank:  # values of whole samples under weights of positions
        weight = keras.ops.mean(weight, axis=-1)
    while len(weight.shape) < rank:
        weight = weight[..., None]
    return keras.ops.mean(values * weight)
