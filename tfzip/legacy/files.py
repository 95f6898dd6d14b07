"""Keras 2 models from files, their code refused unless asked for."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from tfzip.errors import ModelError, TfzipError, one_line
from tfzip.legacy.door import tf_keras, tfmot
from tfzip.untrusted import (
    class_names,
    hdf5_config,
    keras_config,
    refuse_code,
    refuse_imports,
    refuse_unsafe_ops,
)

_TFMOT_CLASSES = {
    "PruneLowMagnitude", "ClusterWeights", "ClusterWeightsMHA", "QuantizeLayer", "QuantizeWrapper",
    "QuantizeWrapperV2", "QuantizeAnnotate",
}  # fmt: skip


def load_tf_keras(path: str | os.PathLike[str], *, unsafe: bool = False) -> Any:
    """Returns the `tf_keras` model of an `.h5` or `.keras` file or of a SavedModel that Keras 2 wrote.

    Raises:
        ModelError: The file is missing, damaged, contains code or classes that Keras 2 does not have.
        MissingDependencyError: `tf_keras` is not installed, or TFMOT for a wrapped model.
    """
    source = Path(path)
    config = _config(source)
    package = tf_keras()
    if not unsafe:
        refuse_code(source, config)
        refuse_imports(source, config, package.saving.get_custom_objects())
        if source.is_dir():
            refuse_unsafe_ops(source)
    try:
        with _scopes(config):
            return package.models.load_model(str(source), compile=False, safe_mode=not unsafe)
    except TfzipError:
        raise
    except Exception as error:  # tf_keras raises any class on a damaged or foreign file
        raise ModelError(
            f"{source} cannot be loaded by tf_keras ({one_line(error)[:300]}). A model with "
            "classes of its own needs them: load it in a function and name it as package.module:function."
        ) from error


def _config(path: Path) -> Any:
    if not path.exists():
        raise ModelError(
            f"There is no model at {path}. Expected an .h5 or .keras file or a SavedModel folder."
        )
    if path.is_dir():
        return _saved_model_configs(path)
    if path.suffix.lower() == ".keras":
        return keras_config(path)[0]
    return hdf5_config(path)[0]


def _saved_model_configs(folder: Path) -> list[Any]:
    """Returns the configuration of every layer in a SavedModel that Keras 2 wrote."""
    tf_keras()
    from tf_keras.protobuf import saved_metadata_pb2

    file = folder / "keras_metadata.pb"
    if not file.is_file():
        raise ModelError(
            f"{folder} has no keras_metadata.pb, so Keras 2 did not save it. Use load_model, which runs "
            "the graph of any SavedModel as it is."
        )
    message = saved_metadata_pb2.SavedMetadata()
    try:
        message.ParseFromString(file.read_bytes())
        return [json.loads(node.metadata) for node in message.nodes]
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{file} is damaged ({error}). Save or copy the model again.") from None


def _scopes(config: Any) -> contextlib.ExitStack:
    """Makes TFMOT's classes known while a model that uses them is loaded."""
    stack = contextlib.ExitStack()
    if class_names(config) & _TFMOT_CLASSES:
        package = tfmot()
        stack.enter_context(package.sparsity.keras.prune_scope())
        stack.enter_context(package.clustering.keras.cluster_scope())
        stack.enter_context(package.quantization.keras.quantize_scope())
    return stack
