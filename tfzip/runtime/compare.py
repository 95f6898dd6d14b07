"""Whether a file computes what its model computes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import Artifact, TensorSpec
from tfzip.errors import DataError, ModelError, OptionError
from tfzip.graph import flatten
from tfzip.quantization.quantize import quantize
from tfzip.quantization_record import record_of
from tfzip.runtime.divergence import compare_ops, scheme_of
from tfzip.runtime.numbers import dequantize, lsb_distance, saturated, ulp_distance
from tfzip.runtime.parity import OpParity, OutputParity, ParityReport
from tfzip.runtime.reference import Reference, match_names
from tfzip.runtime.replay import FileRunner
from tfzip.runtime.samples import Arrays, by_name, read_batches
from tfzip.runtime.scores import Quality, Task, agreement, score, task_of
from tfzip.runtime.session import existing_file
from tfzip.sources.data import load_data, num_rows, take_rows
from tfzip.sources.models import check_finite, load_model
from tfzip.tflite import read, read_metadata

TRACED_SAMPLES = 4


def compare(
    model: keras.Model | str | os.PathLike[str],
    artifact: Artifact | str | os.PathLike[str],
    inputs: Any,
    targets: Any = None,
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> ParityReport:
    """Runs a model and its file on the same inputs and says how far apart they are, and where it begins.

    The file runs in a child process with a deadline and a memory cap, so a damaged file is an error and not a
    crash. Inputs are given as real values and converted to the file's own grid; outputs are counted in steps
    of that grid, or in ulp for floats. A model that was trained for the file's scheme runs with its rounding,
    as it did in training.

    Args:
        model: A built Keras model, or the name of one as for `tfzip.load_model`.
        artifact: What `export` returned, or the path of a .tflite.
        inputs: An array, a dictionary of arrays by input name, a tuple of arrays, or a `tf.data.Dataset` in
            batches, also of `(inputs, targets)`.
        targets: Class numbers, one-hot rows, yes-or-no answers or values, of one row for each sample; a
            dictionary or tuple for several outputs. Defaults to those in the dataset, if any.
        batch_size: Samples in a batch. Defaults to 32.
        seed: Seed of the bootstrap. Defaults to 0.

    Returns:
        Differences per output and per operation, agreement and, with targets, both scores with the interval
        of their difference.

    Raises:
        DataError: The data do not fit the model or the file.
        FileFormatError: The file is missing, damaged, or cannot be run.
        ModelError: The model cannot be loaded or called, or has weights that are not finite.

    Example:
        >>> print(tfzip.compare(model, "model.tflite", x_test, y_test))
    """
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1. Received: {batch_size}.")
    path = existing_file(artifact)
    read(path)  # most damage is found here, in a millisecond
    model = model if isinstance(model, keras.Model) else load_model(model)
    check_finite(model)
    reference = Reference(model, _simulated(model, path))
    with FileRunner(path) as runner:
        run = _Comparison(reference, runner)
        run.all_batches(inputs, targets, batch_size)
        outputs = tuple(run.output_parity(spec, seed) for spec in runner.outputs)
        ops, total, scheme, note = run.op_parity()
    return ParityReport(path, scheme, run.samples, outputs, ops, total, note)


def compare_spec(
    model: str,
    path: str,
    data: str,
    *,
    samples: int | None = None,
    divide_by: float = 1.0,
    unsafe: bool = False,
    **options: Any,
) -> ParityReport:
    """Loads what the names mean and compares; meant to be run in a child.

    Args:
        model: A `.keras`, `.h5`, SavedModel folder or `package.module:function`.
        path: The .tflite.
        data: As for `tfzip.load_data`; its targets are used if it has any.
        samples: Number of rows to draw at random by `seed`. Defaults to all.
        divide_by: What every input is divided by. Defaults to 1.
        unsafe: Allow code inside the model file. Defaults to False.
        **options: As for `compare`.
    """
    existing_file(path)
    loaded = load_data(data, divide_by=divide_by)
    x, y = loaded.x, loaded.y
    if samples is not None and samples < num_rows(x):
        rows = np.random.default_rng(options.get("seed", 0)).permutation(num_rows(x))[:samples]
        x, y = take_rows(x, rows), None if y is None else y[rows]
    return compare(load_model(model, unsafe=unsafe), path, x, y, **options)


def _simulated(model: keras.Model, path: str) -> keras.Model | None:
    """Returns what a model computes with rounding, if it was trained for the scheme of the file."""
    record = record_of(model)
    if record is None or not record.ranges or read_metadata(Path(path)).get("scheme") != record.scheme.name:
        return None
    return quantize(model)


class _Comparison:
    """Both sides' outputs over all samples, and the first samples for the operations."""

    def __init__(self, reference: Reference, runner: FileRunner) -> None:
        self.reference, self.runner = reference, runner
        shapes = {spec.name: spec.shape for spec in reference.inputs}
        self.input_names = match_names(shapes, runner.inputs, "input")
        self.output_names: dict[str, str] = {}
        self.ours: Arrays = {}
        self.theirs: Arrays = {}
        self.targets: Arrays = {}
        self.first: Arrays = {}
        self.samples = 0

    def all_batches(self, inputs: Any, targets: Any, batch_size: int) -> None:
        """Runs both sides over the data."""
        ours, theirs, given = [], [], []
        for arrays, labels in read_batches(inputs, self.reference.inputs, batch_size):
            self.first = self.first or {name: array[:TRACED_SAMPLES] for name, array in arrays.items()}
            ours.append(self.reference.run(arrays))
            theirs.append(self.runner.run(self._for_file(arrays)))
            given.append(labels)
        self.ours, self.theirs = _joined(ours), _joined(theirs)
        self.samples = len(next(iter(self.ours.values())))
        shapes = {name: array.shape for name, array in self.ours.items()}
        self.output_names = match_names(shapes, self.runner.outputs, "output")
        self.targets = self._named_targets(targets, given)

    def output_parity(self, spec: TensorSpec, seed: int) -> OutputParity:
        """Compares one output."""
        name = self.output_names[spec.name]
        ours, held = self.ours[name], self.theirs[spec.name]
        theirs = dequantize(held, spec)
        distance, unit = _distance(ours, held, spec)
        with np.errstate(invalid="ignore"):
            gap = np.nan_to_num(np.abs(theirs.astype(np.float64) - ours.astype(np.float64)), nan=np.inf)
        targets = self.targets.get(name)
        task = task_of(ours, targets)
        return OutputParity(
            name=spec.name,
            dtype=spec.dtype,
            unit=unit,
            max_difference=float(np.max(distance)),
            mean_difference=float(np.mean(distance)),
            max_abs=float(np.max(gap)),
            max_relative=_ratio(float(np.max(gap)), float(np.max(np.abs(ours)))),
            cosine=_cosine(ours, theirs),
            saturated=float(np.mean(saturated(ours, spec))),
            agreement=None if task in (None, "values") else agreement(ours, theirs, task),
            quality=_quality(ours, theirs, targets, task, seed),
        )

    def op_parity(self) -> tuple[tuple[OpParity, ...], int, str, str]:
        """Returns the operations, how many the file has, its scheme, and why none were compared."""
        try:
            graph = flatten(self.reference.model)
        except ModelError as error:
            file = self.runner.graph()
            return (), len(file.ops), scheme_of(file), str(error)
        if len(self.ours) != len(graph.output_ids()):
            raise ModelError(
                f"Model {graph.name!r} returns {len(self.ours)} outputs by name when called and has"
                f" {len(graph.output_ids())} in its graph. Give every output its own name and return all."
            )
        ids = dict(zip(self.ours, graph.output_ids(), strict=True))
        outputs = {name: ids[ours] for name, ours in self.output_names.items()}
        untouched = [self.first[spec.name] for spec in self.reference.inputs]
        return *compare_ops(graph, self.runner, self._for_file(self.first), untouched, outputs), ""

    def _for_file(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        return {name: arrays[ours] for name, ours in self.input_names.items()}

    def _named_targets(self, targets: Any, given: Sequence[Any]) -> Arrays:
        """Returns the targets by the model's output name, those of a dataset joined over its batches."""
        names = list(self.ours)
        if targets is None:
            if any(batch is None for batch in given):
                return {}
            named = _joined([_arrays(by_name(batch, names, "target")) for batch in given])
        else:
            named = _arrays(by_name(targets, names, "target"))
        for name, array in named.items():
            if array.ndim == 0 or len(array) != self.samples or array.dtype.kind not in "biuf":
                raise DataError(
                    f"Targets for {name!r} must be numbers, one row for each of the {self.samples} samples."
                    f" Received: {array.dtype} of shape {array.shape}."
                )
        return named


def _distance(ours: NDArray[Any], held: NDArray[Any], spec: TensorSpec) -> tuple[NDArray[np.float64], str]:
    if held.shape != ours.shape or not held.size:
        raise DataError(
            f"Output {spec.name!r} has the shape {held.shape} in the file and {ours.shape} in the model."
            " Is it this model's file?"
        )
    if np.issubdtype(held.dtype, np.floating):
        return ulp_distance(held.astype(np.float32), ours.astype(np.float32)), "ulp"
    if held.dtype == np.bool_:
        return np.asarray(held != ours, np.float64), "LSB"
    return lsb_distance(held, ours, spec), "LSB"


def _quality(
    ours: NDArray[Any], theirs: NDArray[Any], targets: NDArray[Any] | None, task: Task | None, seed: int
) -> Quality | None:
    if targets is None or task is None:
        return None
    return score(ours, theirs, targets, task, seed=seed)


def _joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _arrays(values: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(value) for name, value in values.items()}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else (0.0 if part == 0.0 else float("inf"))


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    first, second = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    if lengths == 0.0 or not np.isfinite(lengths):
        return 1.0 if np.array_equal(first, second) else 0.0
    return float(np.clip(np.dot(first, second) / lengths, -1.0, 1.0))
