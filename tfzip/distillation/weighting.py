"""Means with sample weights, as Keras takes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfzip.errors import OptionError


def weights_of(sample_weight: Any, names: Sequence[str]) -> list[Any]:
    """Returns the weights of each output, None where it has none.

    Args:
        sample_weight: None; weights for all outputs; or one of these for each output, in a list or by name.
        names: Of the outputs.

    Raises:
        OptionError: There are not as many as outputs.
    """
    if isinstance(sample_weight, Mapping) and set(sample_weight) <= set(names):
        return [sample_weight.get(name) for name in names]
    given: list[Any] = keras.tree.flatten(sample_weight)
    if len(given) == 1:
        return given * len(names)
    if len(given) != len(names):
        raise OptionError(
            f"sample_weight has weights for all samples, or for each of the {len(names)} outputs. Received:"
            f" {len(given)}."
        )
    return given


def per_sample(weights: Sequence[Any]) -> Any:
    """Returns one weight for each sample, the mean over outputs and positions, or None if there is none."""
    if all(one is None for one in weights):
        return None
    given = [1.0 if one is None else _row(one) for one in weights]
    return sum(given) / len(given)


def mean_of(values: Any, weight: Any, mask: Any = None) -> Any:
    """Returns the sum of weighted values over the count of those that a mask leaves.

    Args:
        values: Shape (batch, ...).
        weight: None; or weights of shape (batch,), (batch, 1), or with the positions of the values, as the
            mask of a map has.
        mask: Which positions count, by what Keras passes on from layers that mask. Defaults to None: all.
    """
    if mask is not None and len(mask.shape) == len(values.shape):
        valid = keras.ops.cast(mask, values.dtype)
        values = values * valid / keras.ops.maximum(keras.ops.mean(valid), 1e-9)
    if weight is None:
        return keras.ops.mean(values)
    weight = keras.ops.cast(weight, values.dtype)
    rank = len(values.shape)
    while len(weight.shape) > max(rank, 1) and weight.shape[-1] == 1:
        weight = keras.ops.squeeze(weight, axis=-1)
    while len(weight.shape) > rank:  # values of whole samples under weights of positions
        weight = keras.ops.mean(weight, axis=-1)
    while len(weight.shape) < rank:
        weight = weight[..., None]
    return keras.ops.mean(values * weight)


def _row(weight: Any) -> Any:
    weight = keras.ops.cast(weight, "float32")
    positions = tuple(range(1, len(weight.shape)))
    return keras.ops.mean(weight, axis=positions) if positions else weight
