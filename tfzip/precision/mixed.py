"""What the command line runs in a child: a scan, and a file within a size."""

import os
from collections.abc import Mapping
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
from tfzip.schemes import Scheme
from tfzip.sources.models import load_model


def sensitivity_spec(spec: str, data: str, *, unsafe: bool = False, **options: Any) -> SensitivityReport:
    """Loads what `spec` names and scans it; meant to be run in a child.

    Args:
        spec: A `.keras`, `.h5`, SavedModel folder or `package.module:function`.
        data: Name of a data set or path.
        unsafe: Allow code inside the model file. Defaults to False.
        **options: As for `sensitivity`.
    """
    return sensitivity(load_model(spec, unsafe=unsafe), data, **options)


def export_within(
    spec: str,
    path: str,
    *,
    max_size: str,
    scheme: str = "int8",
    calibration: str | None = None,
    unsafe: bool = False,
    **options: Any,
) -> Artifact:
    """Loads what `spec` names and exports it with the best widths within a size; meant to be run in a child.

    Where a layer gets 4 bits, the rounding of its weights is learned (`tfzip.round_weights`).

    Args:
        spec: A `.keras`, `.h5`, SavedModel folder or `package.module:function`.
        path: Where the file goes.
        max_size: Largest size of the file, for example `"65KB"`.
        scheme: Scheme around the widths. Defaults to "int8".
        calibration: Name of a data set or path; always needed, since sensitivities are measured on it.
        unsafe: Allow code inside the model file. Defaults to False.
        **options: As for `export`: batch, io, observer.

    Raises:
        OptionError: There are no calibration data, or the size cannot be reached.
    """
    limit = most = SizeBudget(max_size).limit_bytes
    if calibration is None:
        raise OptionError(
            "Widths are chosen on calibration data. Give a few hundred training samples: --calibration DATA."
        )
    check_target(Path(path), spec, calibration)
    model, scan = load_model(spec, unsafe=unsafe), None
    target = Path(os.path.realpath(path))
    with written_beside(target) as partial:
        while True:
            found = assign_precision(model, calibration, limit, scheme=scheme, scan=scan, **options)
            artifact = _exported(model, partial, found.scheme, calibration, options)
            if artifact.size_bytes <= most:
                return replace(artifact, path=target)
            limit, scan = limit - (artifact.size_bytes - most), found.scan


def _exported(
    model: keras.Model, path: Path, scheme: Scheme, calibration: str, options: Mapping[str, Any]
) -> Artifact:
    if any(form.bits == NARROW for _, form in scheme.layers):
        model = round_weights(model, scheme, calibration=calibration).model
    if scheme.needs_calibration:
        options = {"calibration": calibration, **options}
    return export(model, path, scheme=scheme, **options)
