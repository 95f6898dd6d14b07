"""A look at the first samples of what `fit` takes, which it is able to give again."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_SAMPLES = 8


def first_inputs(x: Any) -> Any:
    """Returns the first few inputs, or None of what gives its samples only once, such as a generator."""
    if isinstance(x, tf.data.Dataset):
        for batch in x.take(1):
            return _cut(batch[0] if isinstance(batch, tuple) else batch)
        return None
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0]
        return _cut(batch[0] if isinstance(batch, tuple) else batch)
    if isinstance(x, np.ndarray | tf.Tensor | Mapping | list | tuple):
        return _cut(x)
    return None


def _cut(inputs: Any) -> Any:
    return keras.tree.map_structure(lambda one: keras.ops.convert_to_tensor(one[:_SAMPLES]), inputs)
