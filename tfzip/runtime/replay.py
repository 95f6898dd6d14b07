"""The file's side of a comparison: run in a child, since a damaged file can crash an interpreter."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import FileFormatError, SandboxError, one_line
from tfzip.runtime.numbers import quantize
from tfzip.runtime.reading import MEMORY_BYTES
from tfzip.runtime.samples import Arrays
from tfzip.runtime.session import Session, SessionOp, open_session
from tfzip.sandbox import Sandbox

DEADLINE_S = 60.0
DEADLINE_PER_SAMPLE_S = 10.0
_NUMBERS = (
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


class SessionGraph(NamedTuple):
    """The main graph as the interpreter holds it.

    Attributes:
        ops: Operations in execution order.
        tensors: Every tensor by index.
        inputs: Tensor index of each input by name.
        outputs: Tensor index of each output by name.
    """

    ops: tuple[SessionOp, ...]
    tensors: dict[int, TensorSpec]
    inputs: dict[str, int]
    outputs: dict[str, int]


class FileRunner:
    """Runs a file on batches of real values in a child process with a deadline and a memory cap.

    Attributes:
        path: The file.
        inputs: Its inputs.
        outputs: Its outputs.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._child = Sandbox(memory_bytes=MEMORY_BYTES)
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()

    def __enter__(self) -> Self:
        try:
            self.inputs, self.outputs = self._call("describe", samples=1)
            for spec in (*self.inputs, *self.outputs):
                _check_comparable(self.path, spec)
        except BaseException:  # also an interrupt key: no child may stay behind
            self._child.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    def run(self, values: Mapping[str, NDArray[Any]]) -> Arrays:
        """Returns the outputs in the file's dtype for inputs given as real values, all of (samples, ...)."""
        held = self._held(values)
        outputs: Arrays = self._call("run", held, samples=_rows(held))
        return outputs

    def graph(self) -> SessionGraph:
        """Returns the file's operations and tensors."""
        graph: SessionGraph = self._call("graph", samples=1)
        return graph

    def trace(self, values: Mapping[str, NDArray[Any]], indices: Sequence[int]) -> dict[int, NDArray[Any]]:
        """Returns the named tensors' contents after a run without delegates, batched like the inputs."""
        held = self._held(values)
        traced: dict[int, NDArray[Any]] = self._call("trace", held, list(indices), samples=_rows(held))
        return traced

    def _held(self, values: Mapping[str, NDArray[Any]]) -> Arrays:
        return {spec.name: quantize(values[spec.name], spec) for spec in self.inputs}

    def _call(self, function: str, *args: Any, samples: int) -> Any:
        limit_s = DEADLINE_S + samples * DEADLINE_PER_SAMPLE_S
        try:
            return self._child.call(f"{__name__}:{function}", self.path, *args, timeout_s=limit_s)
        except SandboxError as error:
            raise FileFormatError(f"{self.path} cannot be run: {one_line(error)}") from error


def _check_comparable(path: str, spec: TensorSpec) -> None:
    if spec.dtype not in _NUMBERS or not 0.0 <= spec.scale < float("inf"):
        raise FileFormatError(
            f"{path} has the tensor {spec.name!r} of type {spec.dtype} and scale {spec.scale}; inputs and"
            f" outputs must be of {', '.join(_NUMBERS)} and a finite scale. Convert the model again."
        )


def describe(path: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns the inputs and outputs of a file."""
    session = _session(path, keep_tensors=False)
    return session.inputs, session.outputs


def run(path: str, inputs: Arrays) -> Arrays:
    """Runs a file over all rows of its inputs, in batches of the file's own size.

    The last batch of a file with a fixed batch is filled up with copies of its last row, whose outputs are
    dropped.

    Raises:
        FileFormatError: The file cannot be run, or an output has no row for each row of the inputs.
    """
    session = _session(path, keep_tensors=False)
    parts = [_run_batch(session, batch, rows) for batch, rows in _file_batches(session, inputs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def graph(path: str) -> SessionGraph:
    """Returns the operations and tensors of a file."""
    session = _session(path, keep_tensors=True)
    return SessionGraph(session.ops(), session.tensors(), session.input_indices, session.output_indices)


def trace(path: str, inputs: Arrays, indices: Sequence[int]) -> dict[int, NDArray[Any]]:
    """Runs a file over all rows and returns the contents of tensors that have a row for each.

    Tensors of another first dimension are left out.
    """
    session = _session(path, keep_tensors=True)
    parts: dict[int, list[NDArray[Any]]] = {}
    for batch, rows in _file_batches(session, inputs):
        session.feed(batch)
        session.invoke()
        fed = len(next(iter(batch.values())))
        for index in indices:
            value = session.tensor(index)
            if value.ndim and len(value) == fed:
                parts.setdefault(index, []).append(value[:rows])
    return {index: np.concatenate(values) for index, values in parts.items()}


@lru_cache(maxsize=2)
def _session(path: str, *, keep_tensors: bool) -> Session:
    return open_session(path, keep_tensors=keep_tensors)


def _file_batches(session: Session, inputs: Arrays) -> list[tuple[Arrays, int]]:
    rows, size = _rows(inputs), _batch_size(session)
    size = rows if size == -1 else size
    batches = []
    for start in range(0, rows, size):
        batch = {name: array[start : start + size] for name, array in inputs.items()}
        kept = _rows(batch)
        if kept < size:
            batch = {
                name: np.concatenate([a, np.repeat(a[-1:], size - kept, axis=0)]) for name, a in batch.items()
            }
        batches.append((batch, kept))
    return batches


def _batch_size(session: Session) -> int:
    sizes = {spec.shape[0] if spec.shape else 0 for spec in session.inputs}
    if len(sizes) != 1 or sizes == {0}:
        shapes = {spec.name: spec.shape for spec in session.inputs}
        raise FileFormatError(f"{session.path} has inputs without a common batch dimension: {shapes}.")
    return sizes.pop()


def _run_batch(session: Session, batch: Arrays, rows: int) -> Arrays:
    outputs, fed = session.run(batch), _rows(batch)
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != fed:
            raise FileFormatError(
                f"Output {name!r} of {session.path} has the shape {array.shape} for {fed} samples, so samples"
                " cannot be told apart. Export the model with one row for each sample."
            )
    return {name: array[:rows] for name, array in outputs.items()}


def _rows(arrays: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(arrays.values())))
