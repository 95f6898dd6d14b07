"""Does a file compute what its simulation computes? Operation by operation, and from input to output."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.artifact import Artifact
from tfzip.errors import OptionError
from tfzip.graph.signature import input_tree, output_names
from tfzip.quantization.emitters.integer_kernels import IntegerKernels
from tfzip.quantization.quantizer import Quantizer
from tfzip.quantization_record import record_of
from tfzip.runtime.numbers import dequantize, quantize
from tfzip.runtime.session import Session, open_session
from tfzip.schemes import Range
from tfzip.sources.batches import calibration_samples

_CLOSE = 1.01  # mean steps apart: another tensor of the same size and grid is further away
_SAME_SCALE = 1e-4


@dataclass(frozen=True)
class OpParity:
    """How far an operation of the file is from its simulation, both fed with the file's own tensors.

    Attributes:
        key: Name of the result in the simulation.
        op: The operation in the file; empty when no tensor of the file was recognised as the result.
        max_lsb: Largest difference in steps of the result's grid.
        mean_lsb: Mean difference in steps.
        drift_lsb: Mean difference when both run freely from the input, on LiteRT's own kernels.
    """

    key: str
    op: str
    max_lsb: float
    mean_lsb: float
    drift_lsb: float


@dataclass(frozen=True)
class SimulationParity:
    """The whole comparison.

    Attributes:
        ops: One row for each stored tensor, in order.
        samples: Number of examples compared from input to output.
        max_lsb: Largest difference of an output, in steps of its grid.
        mean_lsb: Mean difference of the outputs.
        agreement: Share of examples with the same largest output; 1 for outputs of one number.
    """

    ops: tuple[OpParity, ...]
    samples: int
    max_lsb: float
    mean_lsb: float
    agreement: float

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Results of the simulation that were not recognised in the file."""
        return tuple(row.key for row in self.ops if not row.op)

    @property
    def worst(self) -> OpParity | None:
        """The operation that differs most when fed with the file's own tensors."""
        return max((row for row in self.ops if row.op), key=lambda row: row.max_lsb, default=None)

    @property
    def grows_at(self) -> OpParity | None:
        """The operation at which the mean difference of a free run grows most."""
        matched = [row for row in self.ops if row.op]
        pairs = zip(matched, [0.0, *(row.drift_lsb for row in matched)], strict=False)
        return max(pairs, key=lambda pair: pair[0].drift_lsb - pair[1], default=(None, 0.0))[0]


def parity(
    model: keras.Model, file: str | os.PathLike[str] | Artifact, data: Any, *, examples: int = 2
) -> SimulationParity:
    """Compares a full-integer file with the simulation of the model it was exported from.

    Every operation is fed with the file's own tensors, so that differences do not add up; then both run
    from input to output, the file on XNNPACK where it can.

    Args:
        model: A model that carries its grids: after a fit with `QuantizationCallback`, or `tfzip.quantize`.
        file: The file, exported from those grids.
        data: Inputs in any form that `export` takes for calibration.
        examples: How many of them are compared operation by operation. Defaults to 2.

    Raises:
        OptionError: The model has no grids, or the file's inputs are not integers.

    Example:
        >>> report = tfzip.parity(model, "model.tflite", x_test[:100])
        >>> report.max_lsb, report.agreement
    """
    model = getattr(model, "float_model", model)
    record = record_of(model)
    if record is None or record.scheme.activations.kind != "int":
        raise OptionError(
            f"Model {model.name!r} carries no grids of a full-integer scheme to compare with. Train it with"
            " QuantizationCallback, or use tfzip.quantize(model, 'int8', calibration=...)."
        )
    path = file.path if isinstance(file, Artifact) else file
    quantizer = Quantizer(model, record.scheme, record)
    specs = keras.tree.flatten(input_tree(model))
    samples = calibration_samples(data, specs, sys.maxsize)
    with_tensors = open_session(path, keep_tensors=True)
    rows: dict[str, list[OpParity]] = {}
    for index in range(min(examples, len(next(iter(samples.values()))))):
        one = {name: array[index : index + 1] for name, array in samples.items()}
        for row in _op_by_op(quantizer, with_tensors, one):
            rows.setdefault(row.key, []).append(row)
    ends = _end_to_end(quantizer, model, open_session(path), samples)
    return SimulationParity(tuple(_joined(found) for found in rows.values()), *ends)


class _Forced(IntegerKernels):
    """Simulates exactly, but goes on from what the file holds."""

    def __init__(self, quantizer: Quantizer, file: "_FileTensors", *, forced: bool) -> None:
        emitter = quantizer.emitter
        super().__init__(emitter.scheme, list(emitter.rows), emitter.ranges, emitter.clipping)
        self._file, self._forced, self._count = file, forced, 0
        self.seen: list[tuple[str, str, NDArray[np.float64]]] = []

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:
        """Compares an activation and goes on with the file's."""
        return self._compared(key, super().tensor(key, tensor, fixed))

    def moved(self, key: str, tensor: Any) -> Any:
        """Compares an activation on a known grid and goes on with the file's."""
        return self._compared(f"{key} moved", tensor)

    def _compared(self, key: str, tensor: Any) -> Any:
        name, own = key.removesuffix(" moved"), np.asarray(tensor)
        if name not in self.rows:
            return tensor
        step, self._count = float(self.step(name)), self._count + 1
        op, held = self._file.like(self._count, own, step)
        if held is None and name != key:
            return tensor  # folded into what reads it, such as padding into a convolution
        difference = np.full(1, np.nan) if held is None else np.abs(own - held) / step
        self.seen.append((key, op, difference))
        return tensor if held is None or not self._forced else keras.ops.convert_to_tensor(held)


class _FileTensors:
    """The integer tensors of a file after a run, found by value."""

    def __init__(self, session: Session) -> None:
        tensors = session.tensors()
        self._held: list[tuple[str, float, NDArray[np.float32]]] = []
        self._known: dict[int, int] = {}
        outputs = [(op.name, index) for op in session.ops() for index in op.outputs]
        for op, index in [*(("INPUT", i) for i in session.input_indices.values()), *outputs]:
            spec = tensors[index]
            if spec.scale and np.dtype(spec.dtype).kind == "i":
                self._held.append((op, spec.scale, dequantize(session.tensor(index), spec)))

    def like(
        self, number: int, own: NDArray[np.float32], step: float
    ) -> tuple[str, NDArray[np.float32] | None]:
        """Returns the operation and the values of the tensor that is most like a run's tensor of a number."""
        if number not in self._known:
            distances = [
                np.abs(held.ravel() - own.ravel()).mean() / step
                if held.size == own.size and abs(scale / step - 1) < _SAME_SCALE
                else np.inf
                for _, scale, held in self._held
            ]
            best = int(np.argmin(distances)) if distances else -1
            if best < 0 or distances[best] > _CLOSE:
                return "", None
            self._known[number] = best
        op, _, held = self._held[self._known[number]]
        return op, held.reshape(own.shape)


def _op_by_op(quantizer: Quantizer, session: Session, one: Mapping[str, NDArray[Any]]) -> Sequence[OpParity]:
    session.run({spec.name: quantize(one[spec.name], spec) for spec in session.inputs})
    file = _FileTensors(session)
    forced, free = _Forced(quantizer, file, forced=True), _Forced(quantizer, file, forced=False)
    for emitter in (forced, free):
        quantizer.simulation.run(list(one.values()), emitter)
    return [
        OpParity(key, op, float(difference.max()), float(difference.mean()), float(drift.mean()))
        for (key, op, difference), (_, _, drift) in zip(forced.seen, free.seen, strict=True)
    ]


def _joined(rows: Sequence[OpParity]) -> OpParity:
    first = rows[0]
    return OpParity(
        first.key,
        first.op,
        max(row.max_lsb for row in rows),
        float(np.mean([row.mean_lsb for row in rows])),
        float(np.mean([row.drift_lsb for row in rows])),
    )


def _end_to_end(
    quantizer: Quantizer, model: keras.Model, session: Session, samples: Mapping[str, NDArray[Any]]
) -> tuple[int, float, float, float]:
    count = len(next(iter(samples.values())))
    largest, means, agreed = 0.0, [], 0
    specs = {spec.name: spec for spec in session.outputs}
    run = tf.function(quantizer, autograph=False)
    for index in range(count):
        one = {name: array[index : index + 1] for name, array in samples.items()}
        outputs = run([tf.convert_to_tensor(array) for array in one.values()])
        ours = dict(zip(output_names(model, outputs), keras.tree.flatten(outputs), strict=True))
        held = session.run({spec.name: quantize(one[spec.name], spec) for spec in session.inputs})
        same = True
        for name, array in held.items():
            wanted = np.asarray(ours[name])
            own = quantize(wanted, specs[name]).astype(np.float64)
            difference = np.abs(array.astype(np.float64) - own) if specs[name].scale else np.zeros(1)
            largest = max(largest, float(difference.max()))
            means.append(float(difference.mean()))
            same &= array.reshape(-1).argmax() == own.reshape(-1).argmax()
        agreed += same
    return count, largest, float(np.mean(means)), agreed / count
