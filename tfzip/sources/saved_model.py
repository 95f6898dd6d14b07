"""A SavedModel folder as a `keras.Model` whose inputs and outputs keep the names of its signature."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfzip.errors import ModelError
from tfzip.sources.signature_layer import SignatureLayer

_PREFERRED = ("serving_default", "serve")


def model_from_saved_model(folder: Path) -> keras.Model:
    """Returns a model around the folder's serving signature.

    The graph stays as it was saved: it can be exported and compared, but its layers cannot be pruned.

    Raises:
        ModelError: There is no signature, several without a `serving_default`, or an input of unknown rank.
    """
    signatures = tf.saved_model.load(str(folder)).signatures
    name = _signature_name(folder, list(signatures))
    specs = signatures[name].structured_input_signature[1]
    if not specs:
        raise ModelError(f"The signature {name!r} of {folder} has no inputs. Expected at least one tensor.")
    inputs = {key: _input_of(folder, key, spec) for key, spec in sorted(specs.items())}
    outputs = SignatureLayer(folder, name, name="saved_model")(inputs)
    return keras.Model(inputs, outputs)


def _signature_name(folder: Path, names: list[str]) -> str:
    for preferred in _PREFERRED:
        if preferred in names:
            return preferred
    if len(names) == 1:
        return names[0]
    if not names:
        raise ModelError(
            f"{folder} has no signature to call. Save it again with model.export(folder), or with "
            "tf.saved_model.save(module, folder, signatures=module.function)."
        )
    raise ModelError(
        f"{folder} has several signatures ({', '.join(sorted(names))}) and none is called serving_default. "
        "Save it again with the one to use as signatures={'serving_default': ...}."
    )


def _input_of(folder: Path, name: str, spec: Any) -> Any:
    if spec.shape.rank is None:
        raise ModelError(
            f"Input {name!r} of {folder} has no known rank. Save it again with an input_signature that gives "
            "the number of dimensions."
        )
    return keras.Input(batch_shape=spec.shape.as_list(), dtype=spec.dtype.name, name=name)
