"""What a converter is told about a model: its kernels, and the ranges it learned in training."""

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.conversion.converters import Recorded
from tfzip.conversion.converters.plans import Kernel
from tfzip.errors import ConversionError, ModelError
from tfzip.fingerprint import fingerprint
from tfzip.graph import flatten
from tfzip.graph.signature import input_tree
from tfzip.quantization.fingerprints import probe
from tfzip.quantization.simulation import Simulation
from tfzip.quantization.weighted import WeightGroup, weight_groups
from tfzip.quantization_record import QuantizationRecord, input_key
from tfzip.schemes import Scheme


def kernels_of(
    model: keras.Model, scheme: Scheme, record: QuantizationRecord | None = None
) -> tuple[Kernel, ...]:
    """Returns how the kernels of a model look in its file, and their own steps if it has learned any.

    A model that cannot be flattened has none: then the names of tensors tell which layer is which.

    Args:
        model: A built model.
        scheme: Formats of the file; learned steps count where they were learned for the same format.
        record: What was learned. Defaults to None.
    """
    if scheme.weights.kind != "int":
        return ()
    try:
        groups = weight_groups(flatten(model, batch=1))
    except ModelError:
        return ()
    return tuple(_kernel(group, scheme, record) for group in groups)


def _kernel(group: WeightGroup, scheme: Scheme, record: QuantizationRecord | None) -> Kernel:
    values, steps = group.folded_kernel(), _steps(group, scheme, record)
    if record is None:
        return Kernel(group.path, fingerprint(values))
    return Kernel(group.path, fingerprint(values), steps, group.by_channel(values), group.folded_bias())


def _steps(
    group: WeightGroup, scheme: Scheme, record: QuantizationRecord | None
) -> NDArray[np.float32] | None:
    if record is None or group.key not in record.weight_scales:
        return None
    same = group.form(record.scheme) == group.form(scheme)
    return np.asarray(record.weight_scales[group.key], np.float32) if same else None


def recorded_of(
    model: keras.Model, record: QuantizationRecord | None, *, optional: bool = False
) -> Recorded | None:
    """Returns the ranges of a model's record and how to find their tensors in a file, or `None`.

    Args:
        model: A built model.
        record: What was learned.
        optional: Whether there are data to choose ranges on where the record is that of another model.

    Raises:
        ConversionError: It is, and there are none.
    """
    if record is None or not record.ranges:
        return None
    unknown = Simulation(model).unknown_layer(record)
    if unknown is not None and optional:
        return None
    if unknown is not None:
        raise ConversionError(
            f"The grids that model {model.name!r} carries are those of a model with a layer {unknown!r},"
            " which it has not. Give its layers the names they had in training, or pass calibration=."
        )
    inputs, looks = probe(model, record)
    return Recorded(inputs, tuple(looks), _plain(record.ranges), _plain(record.inner))


def shapes_seen(model: keras.Model, record: QuantizationRecord | None) -> list[tuple[int, ...]] | None:
    """Returns the shapes of one example of each input that ranges were learned on, in the model's order."""
    keys = [input_key(place) for place, _ in enumerate(keras.tree.flatten(input_tree(model)))]
    if record is None or not set(keys) <= record.shapes.keys():
        return None
    return [record.shapes[key] for key in keys]


def _plain(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
