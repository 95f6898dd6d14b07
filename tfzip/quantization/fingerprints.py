"""Recognising the tensors of a model in its file: equal values on one probe are equal tensors."""

from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.fingerprint import fingerprint
from tfzip.graph.signature import input_tree
from tfzip.quantization.emitters.note import Note
from tfzip.quantization.simulation import Simulation
from tfzip.quantization_record import QuantizationRecord, input_key

_SPREAD = (-1.0, 1.0)
_KNOTS = 8


def probe(
    model: keras.Model, record: QuantizationRecord
) -> tuple[dict[str, NDArray[Any]], list[tuple[str, NDArray[np.float64]]]]:
    """Returns one random input of a model, and what each stored tensor looks like on it.

    Args:
        model: A built model.
        record: Its grids; inputs are drawn from their ranges, smooth along inner axes as images and sounds
            are: noise would grow in deep networks until float errors hide what a tensor is.

    Returns:
        One example for each input by name, and pairs of a grid's key and the fingerprint of a tensor on it.
    """
    rng = np.random.default_rng(0)
    specs = keras.tree.flatten(input_tree(model))
    inputs = {spec.name: _drawn(spec, input_key(place), record, rng) for place, spec in enumerate(specs)}
    note = Note(fingerprint)
    Simulation(model).run(list(inputs.values()), note)
    return inputs, note.notes


def _drawn(spec: TensorSpec, key: str, record: QuantizationRecord, rng: np.random.Generator) -> NDArray[Any]:
    seen = record.shapes.get(key, spec.shape[1:])
    shape = (1, *(max(size, 1) for size in seen))
    if np.dtype(spec.dtype).kind in "biu":
        return rng.integers(0, 2, shape).astype(spec.dtype)
    inner = range(1, len(shape) - 1)
    knots = [min(size, _KNOTS) if axis in inner else size for axis, size in enumerate(shape)]
    values = rng.uniform(*record.ranges.get(key, _SPREAD), knots)
    for axis in inner:
        places = np.linspace(0, knots[axis] - 1, shape[axis])
        values = np.apply_along_axis(partial(np.interp, places, range(knots[axis])), axis, values)
    return values.astype(spec.dtype)
