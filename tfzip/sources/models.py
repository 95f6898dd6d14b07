"""From what the user named to a `keras.Model`: a file, a folder, or a function in the user's own code."""

import importlib
import os
import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfzip.errors import ModelError, TfzipError, did_you_mean, one_line
from tfzip.sources.user_code import importable_from_here, names_function
from tfzip.untrusted import hdf5_config, keras_config, refuse_code, refuse_unsafe_ops

if TYPE_CHECKING:
    import keras

_EXPECTED = "a .keras or .h5 file, a SavedModel folder, or package.module:function"
_CONFIG_READERS = {".keras": keras_config, ".h5": hdf5_config, ".hdf5": hdf5_config}
_MOST_CHARACTERS = 300
_MISSING_OBJECT = re.compile(r"(?:Could not locate (?:class|function)|Unknown [\w ]+:) '([^']+)'")


def load_model(spec: "str | os.PathLike[str] | keras.Model", *, unsafe: bool = False) -> "keras.Model":
    """Returns the Keras 3 model that a spec names; a Keras 2 or TFMOT model is converted.

    Args:
        spec: A `keras.Model` (returned as it is), a `tf_keras` model, the path of a `.keras`, `.h5` or
            `.hdf5` file or of a SavedModel folder, or `"package.module:function"`: a function without
            arguments that returns a model, importable from the current folder.
        unsafe: Whether code inside a file may run (Lambda layers, Python and file operations). Defaults to
            False. A function named by `spec` is the user's own code and always runs.

    Returns:
        The model, not compiled.

    Raises:
        ModelError: Nothing is there, it is damaged or not a model, it needs classes that are not registered,
            or it contains code and `unsafe` is False.
        MissingDependencyError: A Keras 2 model, and `tf_keras` is not installed.
    """
    if not isinstance(spec, str | os.PathLike):
        return _from_object(spec, "The model given")
    text = os.fspath(spec)
    path = Path(text)
    if not path.exists() and names_function(text):
        return _from_object(from_user(text), text)
    if not path.exists():
        raise ModelError(f"There is no model at {text}.{_near_file(path)} Expected {_EXPECTED}.")
    if path.is_dir():
        return _from_folder(path, unsafe)
    read_config = _CONFIG_READERS.get(path.suffix.lower())
    if read_config is None:
        raise ModelError(f"{text} is not a model that can be read. Expected {_EXPECTED}.")
    return _from_file(path, *read_config(path), unsafe)


def check_finite(model: "keras.Model") -> None:
    """Raises `ModelError` naming the first variable that holds NaN or infinity."""
    for variable in model.variables:
        array = np.asarray(variable)
        if np.issubdtype(array.dtype, np.integer) or array.dtype == bool:
            continue
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise ModelError(
                f"The weights of {variable.path} are not finite: {bad} of {array.size} values are NaN or "
                "infinite. Training diverged or the file is damaged; restore an earlier checkpoint."
            )


def _from_file(path: Path, config: dict[str, Any], version: str, unsafe: bool) -> "keras.Model":
    if not unsafe:
        refuse_code(path, config)
    if version.startswith(("1", "2")):
        from tfzip.legacy import from_tf_keras

        return from_tf_keras(path, unsafe=unsafe)
    import keras

    from tfzip.quantization_record import attach_saved_record

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=not unsafe)
    except Exception as error:  # Keras raises any class on a damaged or foreign file
        raise _unreadable(path, error) from error
    if path.suffix == ".keras":
        attach_saved_record(model, path)
    return _from_object(model, str(path))


def _from_folder(folder: Path, unsafe: bool) -> "keras.Model":
    if not (folder / "saved_model.pb").is_file():
        raise ModelError(
            f"{folder} is a folder without saved_model.pb, so not a SavedModel. Expected {_EXPECTED}."
        )
    from tfzip.sources.saved_model import model_from_saved_model

    try:
        if not unsafe:
            refuse_unsafe_ops(folder)
        return model_from_saved_model(folder)
    except TfzipError:
        raise
    except Exception as error:  # TensorFlow raises any class on a damaged folder
        raise _unreadable(folder, error) from error


def from_user(spec: str) -> Any:
    """Returns what a function of the user's, `package.module:function`, returns.

    Raises:
        ModelError: It cannot be imported, or raises.
    """
    module_name, _, function_name = spec.partition(":")
    try:
        with importable_from_here():
            module = importlib.import_module(module_name)
            function = getattr(module, function_name, None)
            if function is None:
                near = did_you_mean(function_name, vars(module))
                raise ModelError(f"{module_name} has no function {function_name!r}.{near}")
            return function()
    except TfzipError:
        raise
    except ModuleNotFoundError as error:
        here = "" if error.name != module_name.split(".")[0] else " Run from the folder that holds it."
        raise ModelError(f"{spec} needs the module {error.name!r}, which is not found.{here}") from error
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"{spec} failed{_location(error)}: {type(error).__name__}: {_shortened(error)}"
        ) from error


def _from_object(thing: Any, name: str) -> "keras.Model":
    import keras

    if isinstance(thing, keras.Model):
        return thing
    if any(base.__module__.startswith("tf_keras.") for base in type(thing).__mro__):
        from tfzip.legacy import from_tf_keras

        return from_tf_keras(thing)
    raise ModelError(f"{name} is a {type(thing).__name__}, not a keras.Model. Expected {_EXPECTED}.")


def _unreadable(path: Path, error: Exception) -> ModelError:
    missing = _MISSING_OBJECT.search(str(error))
    if missing:
        return ModelError(
            f"{path} uses {missing[1]!r}, which is not part of Keras. Register it with "
            "keras.saving.register_keras_serializable and import it before loading, or name a function that "
            "builds and loads the model as package.module:function."
        )
    return ModelError(
        f"{path} cannot be loaded ({_shortened(error)}). Save it again with model.save('name.keras')."
    )


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist."
    return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])


def _location(error: Exception) -> str:
    """Returns where in the user's code an exception came from: the last frame outside installed packages."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    own = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith("<frozen")]
    own = [
        f for f in own if not f.filename.startswith(str(Path(importlib.__file__ or "").parent.parent))
    ] or own
    return f" at {own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else ""


def _shortened(error: Exception) -> str:
    text = one_line(error)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
