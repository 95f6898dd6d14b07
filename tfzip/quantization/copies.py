"""Models to change in place of the user's: of the same kind where Keras can make it again, else flat."""

from dataclasses import replace

import keras

from tfzip.graph import flatten, rebuild
from tfzip.quantization.fingerprints import probe
from tfzip.quantization.weighted import weight_groups
from tfzip.quantization_record import QuantizationRecord
from tfzip.schemes import Scheme

_CANNOT_BE_CLONED = (TypeError, ValueError, NotImplementedError)  # what Keras raises for want of a config


def copy_of(model: keras.Model) -> keras.Model:
    """Returns a model with weights of its own.

    Keras makes a subclassed model or layer again from its configuration, which many do not have; then the
    copy is the flat model of `tfzip.rebuild`, which computes the same and names layers by their paths.

    Raises:
        ModelError: The model can be neither cloned nor flattened.
    """
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except _CANNOT_BE_CLONED:
        return rebuild(model)
    return copy


def copy_with_grids(
    model: keras.Model, scheme: Scheme, record: QuantizationRecord | None
) -> tuple[keras.Model, Scheme, QuantizationRecord | None]:
    """Returns `copy_of(model)`, and a scheme and a record that name its layers as the copy does."""
    copy = copy_of(model)
    groups = [weight_groups(flatten(one, batch=1)) for one in (model, copy)]
    pairs = list(zip(*groups, strict=True))
    paths = {old.path: new.path for old, new in pairs}
    if all(old == new for old, new in paths.items()):
        return copy, scheme, record
    scheme = _renamed(scheme, paths)
    if record is None:
        return copy, scheme, None
    notes = zip(probe(model, record)[1], probe(copy, record)[1], strict=True)
    activations = {old: new for (old, _), (new, _) in notes}
    kernels = {old.key: new.key for old, new in pairs}
    moved = QuantizationRecord(
        _renamed(record.scheme, paths),
        {activations.get(key, key): found for key, found in record.ranges.items()},
        {kernels.get(key, key): steps for key, steps in record.weight_scales.items()},
        shapes=record.shapes,
    )
    return copy, scheme, moved


def _renamed(scheme: Scheme, paths: dict[str, str]) -> Scheme:
    return replace(scheme, layers=tuple((paths.get(path, path), form) for path, form in scheme.layers))
