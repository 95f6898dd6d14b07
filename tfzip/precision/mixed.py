"""A file within a size, and what the command line runs of mixed precision in a child."""

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tfzip.artifact import Artifact
from tfzip.conversion.checks import check_target
from tfzip.conversion.export import export
from tfzip.errors import OptionError
from tfzip.files import written_beside
from tfzip.precision.assign import assign_precision
from tfzip.precision.budget import SizeBudget
from tfzip.precision.report import SensitivityReport
from tfzip.precision.sensitivity import sensitivity
from tfzip.precision.sizes import NARROW
from tfzip.quantization.post_training import round_weights
from tfzip.quantization_record import record_of
from tfzip.schemes import Scheme
from tfzip.sources.models import load_model

_MOST_TRIES = 3


def sensitivity_spec(spec: str, data: str, *, unsafe: bool = False, **options: Any) -> SensitivityReport:
    """Loads what `spec` names and scans it; meant to be run in a child.

    Args:
        spec: A `.keras`, `.h5`, SavedModel folder or `package.module:function`.
        data: Name of a data set or path.
        unsafe: Allow code inside the model file. Defaults to False.
        **options: As for `sensitivity`.
    """
    return sensitivity(load_model(spec, unsafe=unsafe), data, **options)


def export_within_spec(
    spec: str, path: str, *, calibration: str | None = None, unsafe: bool = False, **options: Any
) -> Artifact:
    """Loads what `spec` names and runs `export_within`; meant to be run in a child.

    Args:
        spec: A `.keras`, `.h5`, SavedModel folder or `package.module:function`.
        path: Where the file goes.
        calibration: Name of a data set or path; always needed, since sensitivities are measured on it.
        unsafe: Allow code inside the model file. Defaults to False.
        **options: As for `export_within`.

    Raises:
        OptionError: There are no calibration data, or the size cannot be reached.
    """
    if calibration is None:
        raise OptionError(
            "Widths are chosen on calibration data. Give a few hundred training samples: --calibration DATA."
        )
    check_target(Path(path), spec, calibration)
    return export_within(load_model(spec, unsafe=unsafe), path, calibration=calibration, **options)


def export_within(
    model: keras.Model,
    path: str | os.PathLike[str],
    max_size: int | str,
    *,
    calibration: Any,
    scheme: str | Scheme = "int8",
    **options: Any,
) -> Artifact:
    """Writes a model as a .tflite of at most a size: with the best widths, and learned rounding in 4 bits.

    It is `assign_precision`, `round_weights` and `export`, and looks at the finished file. Learned rounding
    adds biases to layers that had none; where that leaves no choice of widths within the size, weights are
    rounded to the nearest instead, with a warning.

    Args:
        model: A built model; it is left as it was.
        path: Where the file goes; its folder must exist.
        max_size: Largest size of the file: bytes, or text such as `"65KB"`.
        calibration: Training samples in any form that `export` takes.
        scheme: Scheme around the widths. Defaults to "int8".
        **options: As for `export`: batch, io, observer, recipe.

    Returns:
        The file with its facts.

    Raises:
        OptionError: The size cannot be reached; the message has the smallest that can. Or sparse is set.

    Example:
        >>> tfzip.export_within(model, "small.tflite", "65KB", calibration=x_train[:256])
    """
    if options.get("sparse"):
        raise OptionError("sparse and max_size do not go together: kernels of 4 bits stay dense. Use export.")
    most = SizeBudget(max_size).limit_bytes
    target = Path(os.path.realpath(path))
    check_target(target)
    nearest = found = assign_precision(model, calibration, most, scheme=scheme, **options)
    if found.scheme.needs_calibration:
        options = {"calibration": calibration, **options}
    with written_beside(target) as partial:
        for _ in range(_MOST_TRIES):
            ready, rounded = _rounded(model, found.scheme, calibration)
            artifact = export(ready, partial, scheme=rounded, **options)
            if artifact.size_bytes <= most:
                return replace(artifact, path=target)
            limit = min(most - (artifact.size_bytes - found.size_bytes), found.size_bytes - 1)
            try:
                found = assign_precision(model, calibration, limit, scheme=scheme, scan=found.scan, **options)
            except OptionError:
                break
        warnings.warn(
            f"Learned rounding adds biases that leave no choice of widths within {most:,} bytes, so weights"
            " are rounded to the nearest. Allow a larger file for better accuracy.",
            stacklevel=2,
        )
        artifact = export(model, partial, scheme=nearest.scheme, **options)
    return replace(artifact, path=target)


def _rounded(model: keras.Model, scheme: Scheme, calibration: Any) -> tuple[keras.Model, Scheme]:
    """Returns the model with learned rounding, and the scheme with the paths of the model that it became."""
    if all(form.bits != NARROW for _, form in scheme.layers):
        return model, scheme
    ready = round_weights(model, scheme, calibration=calibration).model
    record = record_of(ready)
    return ready, scheme if record is None else record.scheme
