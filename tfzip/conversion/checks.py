"""What is refused before an export begins."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tfzip.errors import OptionError, did_you_mean
from tfzip.graph import walk
from tfzip.schemes import Scheme
from tfzip.sources.models import check_finite

_BOTH_WAYS = keras.layers.Bidirectional


def check_target(path: Path, *sources: Any) -> None:
    """Fails before the work when the target cannot be written, or is one of the sources."""
    folder = path.parent
    if path.is_dir():
        raise OptionError(f"{path} is a folder. Name a file, for example {path / 'model.tflite'}.")
    if path.exists() and not path.is_file():
        raise OptionError(f"{path} is no regular file and would be replaced. Choose another target.")
    for source in sources:
        if (
            isinstance(source, str | os.PathLike)
            and path.exists()
            and Path(source).exists()
            and path.samefile(source)
        ):
            raise OptionError(
                f"{path} is what the file is made from and would be overwritten. Choose another target."
            )
    if not folder.is_dir():
        raise OptionError(f"The folder {folder} does not exist. Make it first: mkdir -p {folder}")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OptionError(
            f"The folder {folder} cannot be written to ({error.strerror}). Choose another target or change"
            " its rights."
        ) from None


def check_options(model: keras.Model, scheme: Scheme, *, batch: int, has_ranges: bool) -> None:
    """Fails before the work when an export cannot succeed.

    Args:
        model: A built model.
        scheme: Number formats of the file.
        batch: First dimension of the inputs.
        has_ranges: Whether there are calibration data or ranges from training.
    """
    check_finite(model)
    recurrent = [item.path for item in walk(model) if isinstance(item.layer, keras.layers.RNN | _BOTH_WAYS)]
    if scheme.activations.kind == "int" and scheme.activations.bits == 16 and recurrent:
        raise OptionError(
            f"TensorFlow writes wrong files of 16-bit activations for recurrent layers, such as"
            f" {recurrent[0]!r}. Use scheme 'int8', or 'int8_weights' with float activations."
        )
    if batch < 1:
        raise OptionError(f"batch must be at least 1. Received: {batch}.")
    if scheme.needs_calibration and not has_ranges:
        raise OptionError(
            f"Scheme {scheme.name!r} needs calibration data. Give a few hundred training samples:"
            " calibration=x_train[:256], or --calibration on the command line."
        )


def checked_io(scheme: Scheme, io: str | None) -> str:
    """Returns the type of a file's inputs and outputs: the scheme's own, or float32."""
    own = "float32"
    if scheme.needs_calibration:
        sign = "" if scheme.weights.symmetric else "u"
        own = f"{sign}int{scheme.activations.bits}"
    allowed = dict.fromkeys((own, "float32"))
    if io is not None and io not in allowed:
        raise OptionError(f"io must be {' or '.join(allowed)} for scheme {scheme.name!r}. Received: {io!r}.")
    return io or own


def check_layers(scheme: Scheme, layers: Sequence[str]) -> None:
    """Fails when a mixed scheme names a layer that the model does not have."""
    for path, _ in scheme.layers:
        if path not in layers:
            raise OptionError(
                f"Scheme {scheme.name!r} names the layer {path!r}, which the model does not have."
                f"{did_you_mean(path, layers)}"
            )
