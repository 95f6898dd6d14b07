"""Weights of a network that was trained, for one that is nearly the same."""

from typing import Any

import keras
import numpy as np

from tfzip.graph.walk import walk


def inherit_weights(model: keras.Model, donor: keras.Model) -> float:
    """Copies weights from layers of the same name and kind, as far as their shapes overlap.

    A kernel of a narrower donor fills the first channels, that of a smaller one the middle of a larger
    kernel's window; the rest stays as it was drawn (Real et al., ICML 2017, "Large-Scale
    Evolution of Image Classifiers", section 3.4).

    Args:
        model: A built model, changed in place.
        donor: A built model; it is left as it was.

    Returns:
        The share of the model's numbers that were copied.
    """
    known = {walked.path: walked.layer for walked in walk(donor)}
    copied = whole = 0
    for walked in walk(model):
        layer, other = walked.layer, known.get(walked.path)
        same = other is not None and type(other) is type(layer) and len(other.weights) == len(layer.weights)
        for place, variable in enumerate(layer.weights):
            values = np.array(variable)
            whole += values.size
            if other is not None and same and len(other.weights[place].shape) == values.ndim:
                copied += _overlaid(values, np.asarray(other.weights[place]))
                variable.assign(values)
    return copied / max(whole, 1)


def _overlaid(values: Any, given: Any) -> int:
    """Puts given numbers into an array and returns how many: windows in the middle, channels at the front."""
    into, out = [], []
    windows = values.ndim - 2 if values.ndim > 2 else 0
    for axis, (size, other) in enumerate(zip(values.shape, given.shape, strict=True)):
        shared = min(size, other)
        mine, theirs = ((size - shared) // 2, (other - shared) // 2) if axis < windows else (0, 0)
        into.append(slice(mine, mine + shared))
        out.append(slice(theirs, theirs + shared))
    part = given[tuple(out)]
    values[tuple(into)] = part
    return int(part.size)
