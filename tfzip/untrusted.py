"""Looks for code in a model file before anything in it is built.

A model file is data, until it names Python code (Lambda layers, pickled modules) or graph operations that
reach out of the graph (files, Python callbacks). Both run with the rights of the user, so both are refused
unless asked for.
"""

import json
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from tfzip.errors import ModelError, one_line

_CODE_CLASSES = {
    "Lambda": "a Lambda layer (Python code)",
    "__lambda__": "a Python lambda",
    "TFSMLayer": "a TFSMLayer (it loads another SavedModel)",
    "SignatureLayer": "a SignatureLayer (it loads another SavedModel)",
    "TorchModuleWrapper": "a TorchModuleWrapper (a pickled module)",
    "JaxLayer": "a JaxLayer (Python code)",
    "FlaxLayer": "a FlaxLayer (Python code)",
}
_UNSAFE_OPS = {
    "EagerPyFunc", "PyFunc", "PyFuncStateless", "ReadFile", "WriteFile", "MatchingFiles", "CopyFile",
    "LookupTableExport", "PrintV2", "DebugIdentity", "TfRecordReader", "WholeFileReader", "WholeFileReaderV2",
}  # fmt: skip
_KERAS_MODULES = {"keras", "tf_keras", "builtins", "tensorflow_model_optimization"}
_CONFIG_LIMIT_BYTES = 1 << 28


def keras_config(path: Path) -> tuple[dict[str, Any], str]:
    """Reads the configuration and the Keras version of a `.keras` archive, building nothing.

    Raises:
        ModelError: The file is not an archive made by Keras, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > _CONFIG_LIMIT_BYTES:
                raise ModelError(f"{path} is refused: its config.json is larger than any model's.")
            config = json.loads(archive.read("config.json"))
            metadata = json.loads(archive.read("metadata.json"))
    except zipfile.BadZipFile as error:
        raise ModelError(
            f"{path} is not a readable .keras archive ({error}). It may be truncated: save or copy it again."
        ) from None
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is a zip archive but not one that Keras wrote ({one_line(error)}). "
            "Expected what model.save('name.keras') writes."
        ) from None
    return _checked(path, config), str(_checked(path, metadata).get("keras_version", ""))


def hdf5_config(path: Path) -> tuple[dict[str, Any], str]:
    """Reads the configuration and the Keras version of an HDF5 model file, building nothing.

    Raises:
        ModelError: The file is damaged, is not HDF5, or holds weights only.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2")
    except (OSError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"{path} is not a readable HDF5 file ({one_line(error)}). "
            "It may be truncated: save or copy it again."
        ) from None
    if config is None:
        raise ModelError(
            f"{path} holds no model configuration (weights only?). Build the model in code, call "
            "load_weights, and name it as package.module:function, or save the whole model with "
            "model.save('name.keras')."
        )
    try:
        parsed = json.loads(config)
    except (ValueError, TypeError, RecursionError):
        raise ModelError(f"{path} has a damaged model configuration. Save or copy it again.") from None
    return _checked(path, parsed), _text(version)


def refuse_code(path: Path, config: Any) -> None:
    """Raises `ModelError` when a configuration, at any depth, names Python code."""
    for item in _objects(config):
        kind, inner = _kind(item), item.get("config")
        if kind in _CODE_CLASSES:
            name = inner.get("name") if isinstance(inner, dict) else None
            where = f" (layer {name!r})" if isinstance(name, str) else ""
            raise ModelError(
                f"{path} contains {_CODE_CLASSES[kind]}{where}, which would run code from the file. "
                "If you trust where it came from, pass --unsafe (unsafe=True in Python); "
                "else replace the layer by Keras layers or keras.ops."
            )


def refuse_imports(path: Path, config: Any, registered: Container[str]) -> None:
    """Raises `ModelError` when building a configuration would import a module that is not Keras'.

    Keras 3 refuses by itself; Keras 2 imports whatever module the file names.

    Args:
        path: For messages.
        config: The configuration.
        registered: Names of classes and functions that the user registered, which need no import.
    """
    for item in _objects(config):
        module, name = item.get("module"), item.get("registered_name") or _kind(item)
        if not isinstance(module, str) or module.split(".")[0] in _KERAS_MODULES or name in registered:
            continue
        raise ModelError(
            f"{path} uses {name!r} of module {module!r}, which is not part of Keras and not registered. "
            "Load the model in a function of yours and name it as package.module:function; if you trust "
            "the file and the module is importable, pass --unsafe (unsafe=True in Python)."
        )


def refuse_unsafe_ops(folder: Path) -> None:
    """Raises `ModelError` when a SavedModel's graphs touch files or call Python."""
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    message.ParseFromString((folder / "saved_model.pb").read_bytes())
    for graph in message.meta_graphs:
        bodies = [graph.graph_def.node, *(f.node_def for f in graph.graph_def.library.function)]
        found = sorted({node.op for body in bodies for node in body} & _UNSAFE_OPS)
        if found:
            raise ModelError(
                f"{folder} contains {', '.join(found)}, which reaches outside the model when it runs. "
                "If you trust where it came from, pass --unsafe (unsafe=True in Python)."
            )


def class_names(config: Any) -> set[str]:
    """Returns the names of all classes that a configuration would build, at any depth."""
    return {_kind(item) for item in _objects(config)}


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields the configuration of everything that a configuration would build."""
    pending = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str):
                yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _kind(item: dict[str, Any]) -> str:
    """Returns the class name without the package it was registered under."""
    return str(item["class_name"]).rsplit(">")[-1]


def _checked(path: Path, config: Any) -> dict[str, Any]:
    if not isinstance(config, dict):
        raise ModelError(f"{path} is damaged: its configuration is not a mapping. Save or copy it again.")
    return config


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
