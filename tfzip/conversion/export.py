"""From a Keras model to a .tflite on disk: trace, convert, audit, sign, move into place."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzip.artifact import Artifact, Finding, sha256_of
from tfzip.conversion.checks import check_layers, check_options, check_target, checked_io
from tfzip.conversion.converters import ConversionJob
from tfzip.conversion.diagnosis import explain
from tfzip.conversion.knowledge import kernels_of, recorded_of, shapes_seen
from tfzip.conversion.signature import file_signature
from tfzip.conversion.spill import spilled
from tfzip.conversion.trace import fixed_inputs, trace
from tfzip.errors import ConversionError, SandboxError
from tfzip.files import written_beside
from tfzip.graph import walk
from tfzip.quantization.observers import Observer, observers
from tfzip.quantization.quantize import QuantizedModel
from tfzip.quantization_record import record_of
from tfzip.sandbox import resolve, run_isolated
from tfzip.schemes import Scheme, get_scheme
from tfzip.sources.batches import calibration_samples
from tfzip.sources.models import load_model
from tfzip.tflite import FileGraph, audit, read, write_metadata
from tfzip.tflite.layer_list import packed_layers, packed_widths
from tfzip.tflite.sparse_kernels import sparse_findings
from tfzip.version import __version__

_CONVERTER = "tfzip.conversion.converters.tf_lite:convert"
_WRONG = {
    "wrong_bias": "It shares the bias with another operation: use scheme 'int8', or a layer for each call.",
    "huge_step": "A mask close to minus infinity, or diverged values: use scheme 'int8' or a mask of -100.",
}
Runner = Callable[..., Any]


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    scheme: str | Scheme | None = None,
    calibration: Any = None,
    observer: str | Mapping[str, Any] | Observer = "percentile",
    batch: int = 1,
    io: str | None = None,
    recipe: str = "",
    strict: bool = False,
    sparse: bool = False,
) -> Artifact:
    """Writes a model as a .tflite that runs on LiteRT without Flex, and audits it.

    The conversion runs in a child process, since a bad graph can crash the converter. The file is written
    beside its target and moved into place: a failure leaves no partial file and never touches an existing
    one. The model is left as it was; a mixed_float16 model is converted as float32.

    Args:
        model: A built Keras model.
        path: Where the file goes; its folder must exist.
        scheme: Name of a scheme (`tfzip.SCHEMES`) or a scheme, such as one from `tfzip.mixed_scheme`.
            Defaults to None: the one the model was trained for, else `"float32"`.
        calibration: Samples for the ranges of integer schemes, and for the size of dimensions that the model
            leaves open: an array, a dictionary or tuple of arrays, a `tf.data.Dataset`, a generator, or a
            path or data set name. The first 512 samples are used, so give a few hundred representative ones.
            Defaults to None. A model trained with `QuantizationCallback` needs none: ranges learned in
            training are used in any case, calibration data for what training left open.
        observer: Chooses ranges from the calibration data: a name, a mapping with `name` and fields, or an
            observer. Defaults to "percentile", which leaves out the outermost 0.01 %.
        batch: Fixed first dimension of the inputs. Defaults to 1.
        io: Type of floating-point inputs and outputs in the file: `"float32"`, or the scheme's own, which is
            the default: `"uint8"` for uint8, `"int16"` for int16x8, `"int8"` for others with integer
            activations, else `"float32"`.
        recipe: Name of the recipe, kept in the file's metadata. Defaults to "".
        strict: Whether anything that is left outside the scheme is an error, not a finding. Defaults to
            False.
        sparse: Whether kernels that are at least two thirds zeros are stored without them where that makes
            the file smaller. It computes the same to the last bit; the kernels are unpacked when it is
            loaded. What is left dense is a finding with the reason. Defaults to False.

    Returns:
        The file with its facts and what the audit found.

    Raises:
        ConversionError: An operation has no LiteRT kernel, or the converter failed, or `strict` is set and
            something is left outside the scheme; names the layer.
        DataError: The calibration data do not fit the model.
        ModelError: The model is not built or has weights that are not finite.
        OptionError: The target cannot be written, or an option is out of range.

    Example:
        >>> tfzip.export(model, "model.tflite", scheme="int8", calibration=x_train[:256])
    """
    return _export(
        model,
        Path(path),
        run_isolated,
        scheme=scheme,
        calibration=calibration,
        observer=observer,
        batch=batch,
        io=io,
        recipe=recipe,
        strict=strict,
        sparse=sparse,
    )


def export_spec(spec: str, path: str, *, unsafe: bool = False, **options: Any) -> Artifact:
    """Loads what `spec` names and exports it within this process; meant to be run in a child.

    Args:
        spec: A `.keras`, `.h5`, SavedModel folder or `package.module:function`.
        path: Where the file goes.
        unsafe: Allow code inside the model file. Defaults to False.
        **options: As for `export`.
    """
    check_target(Path(path), spec, options.get("calibration"))
    model = load_model(spec, unsafe=unsafe)
    source = Path(spec)
    digest = sha256_of(source) if source.exists() else ""
    return _export(model, Path(path), _run_here, source_sha256=digest, **options)


def _export(
    model: keras.Model,
    path: Path,
    run: Runner,
    *,
    scheme: str | Scheme | None = None,
    calibration: Any = None,
    observer: str | Mapping[str, Any] | Observer = "percentile",
    batch: int = 1,
    io: str | None = None,
    recipe: str = "",
    strict: bool = False,
    sparse: bool = False,
    source_sha256: str = "",
) -> Artifact:
    if isinstance(model, QuantizedModel):
        model = model.float_model
    record = record_of(model)
    scheme = get_scheme(scheme or (record.scheme if record else "float32"))
    path = Path(os.path.realpath(path))
    check_target(path, calibration)
    check_options(
        model, scheme, batch=batch, has_ranges=calibration is not None or bool(record and record.ranges)
    )
    io = checked_io(scheme, io)
    layers = [item.path for item in walk(model)]
    check_layers(scheme, layers)
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder, written_beside(path) as partial:
        samples = (
            {}
            if calibration is None
            else calibration_samples(calibration, fixed_inputs(model, -1), varied=scheme.needs_calibration)
        )
        shapes = [array.shape[1:] for array in samples.values()] or shapes_seen(model, record)
        traced = trace(model, Path(folder) / "saved_model", fixed_inputs(model, batch, shapes), scheme)
        job = ConversionJob(
            str(traced.folder),
            str(partial),
            scheme,
            io,
            batch,
            calibration=spilled(samples, Path(folder)),
            observer=observers.get(observer),
            recorded=recorded_of(model, record, optional=bool(samples)) if scheme.needs_calibration else None,
            layers=tuple(layers),
            kernels=kernels_of(model, scheme, record),
            sparse=sparse,
        )
        try:
            stored = run(_CONVERTER, job)
        except (ConversionError, SandboxError) as error:
            raise explain(error, layers, partial) from error
        findings = _audited(read(partial), scheme, layers)
        if strict and findings:
            raise ConversionError(_left_outside(scheme, findings))
        if sparse:
            findings += sparse_findings(read(partial), layers)
        metadata = {
            "tfzip_version": __version__,
            "scheme": scheme.name,
            **({"widths": packed_widths(scheme)} if scheme.layers else {}),
            **({"sparse": str(stored)} if sparse else {}),
            "io": io,
            "recipe": recipe,
            "source_sha256": source_sha256 or _weights_sha256(model),
            "keras_version": keras.__version__,
            "calibration_samples": str(max((len(a) for a in samples.values()), default=0)),
            "layers": packed_layers(layers),
        }
        write_metadata(partial, metadata)
        return _artifact(partial, path, scheme, findings, metadata)


def _run_here(target: str, job: ConversionJob) -> Any:
    return resolve(target)(job)


def _audited(graph: FileGraph, scheme: Scheme, layers: Sequence[str]) -> tuple[Finding, ...]:
    findings = audit(graph, scheme, layers)
    foreign = [f for f in findings if f.kind in ("flex_op", "custom_op")]
    if foreign:
        names = ", ".join(f"{f.op} in layer {f.layer!r}" for f in foreign)
        raise ConversionError(f"The file would need operations that LiteRT does not have: {names}.")
    for finding in findings:
        if finding.kind in _WRONG:
            raise ConversionError(
                f"The converter made a wrong file: {finding.op} in layer {finding.layer!r}: {finding.cost}."
                f" {_WRONG[finding.kind]}"
            )
    return findings


def _left_outside(scheme: Scheme, findings: Sequence[Finding]) -> str:
    names = ", ".join(f"{f.op} in layer {f.layer!r} ({f.cost})" for f in findings[:3])
    more = f" and {len(findings) - 3} more" if len(findings) > 3 else ""
    return (
        f"Not everything follows scheme {scheme.name!r}: {names}{more}. Write the layer with other"
        " operations, or leave out strict to accept it."
    )


def _weights_sha256(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in model.variables:
        digest.update(variable.path.encode() + b"\0" + np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def _artifact(
    partial: Path, path: Path, scheme: Scheme, findings: tuple[Finding, ...], metadata: Mapping[str, str]
) -> Artifact:
    """Describes a finished file that is about to be moved to `path`."""
    inputs, outputs = file_signature(read(partial))
    return Artifact(
        path=path,
        scheme=scheme.name,
        size_bytes=partial.stat().st_size,
        sha256=sha256_of(partial),
        inputs=inputs,
        outputs=outputs,
        findings=findings,
        metadata={k: v for k, v in metadata.items() if k not in ("layers", "widths")},
    )
