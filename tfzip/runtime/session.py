"""A file opened for running: one interface over every interpreter."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import (
    DataError,
    FileFormatError,
    MissingDependencyError,
    OptionError,
    did_you_mean,
    one_line,
)
from tfzip.runtime.runtimes import PREFERENCE, Runtime, runtimes


@dataclass(frozen=True)
class SessionOp:
    """An operation of the main graph as the interpreter holds it.

    Attributes:
        index: Position in execution order.
        name: Name of the operation, for example `"CONV_2D"`; `"DELEGATE"` for what a delegate took over.
        inputs: Indices of the tensors it reads; -1 for an optional one that is absent.
        outputs: Indices of the tensors it writes.
    """

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Session:
    """Runs one file on arrays in the file's own number format.

    `feed` once and `invoke` many times is the loop of a benchmark; `run` is all three. Nothing is converted
    on the way: see `tfzip.runtime.numbers.quantize` for integer files.

    Attributes:
        path: The file.
        runtime: What runs it.
        inputs: Inputs by their names in the signature; by their tensors' names when the file has none.
        outputs: Outputs likewise.
        input_indices: Index of each input's tensor by name.
        output_indices: Index of each output's tensor by name.
    """

    def __init__(self, path: str, runtime: Runtime, interpreter: Any, keep_tensors: bool) -> None:
        self.path = path
        self.runtime = runtime
        self._interpreter = interpreter
        self._keeps_tensors = keep_tensors
        with _as_format_error(path, "cannot be prepared for running"):
            interpreter.allocate_tensors()
            details_in, details_out = interpreter.get_input_details(), interpreter.get_output_details()
            names_in, names_out = _signature_names(interpreter, details_in, details_out)
        self.input_indices = names_in
        self.output_indices = names_out
        self.inputs = tuple(self._spec(name, details_in, index) for name, index in names_in.items())
        self.outputs = tuple(self._spec(name, details_out, index) for name, index in names_out.items())
        self._shapes = {d["index"]: tuple(int(n) for n in d["shape"]) for d in details_in}

    def feed(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Writes the inputs; a file with open dimensions is resized to theirs.

        Args:
            inputs: An array for each input, by name, of the file's dtype and shape.

        Raises:
            DataError: A name, shape or dtype differs from what the file declares.
        """
        _check_names(inputs, self.input_indices)
        for spec in self.inputs:
            _check_array(spec, inputs[spec.name])
        shapes = {self.input_indices[name]: np.shape(array) for name, array in inputs.items()}
        if shapes != self._shapes:
            self._resize(shapes)
        for name, array in inputs.items():
            self._interpreter.set_tensor(self.input_indices[name], np.asarray(array, order="C"))

    def invoke(self) -> None:
        """Computes the outputs from what was fed last.

        Raises:
            FileFormatError: An operation refuses its operands.
        """
        try:  # not the helper below: a context manager would weigh in a benchmark
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise FileFormatError(f"{self.path} cannot be run: {_reason(error)}.") from error

    def read(self) -> dict[str, NDArray[Any]]:
        """Returns copies of the outputs by name, in the file's dtype."""
        return {name: self._interpreter.get_tensor(index) for name, index in self.output_indices.items()}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Feeds, invokes and reads."""
        self.feed(inputs)
        self.invoke()
        return self.read()

    def ops(self) -> tuple[SessionOp, ...]:
        """Returns the operations in execution order; with delegates on, what they took is at the end."""
        listed = self._interpreter._get_ops_details()  # noqa: SLF001 (no interpreter has a public list)
        return tuple(
            SessionOp(op["index"], op["op_name"], _indices(op["inputs"]), _indices(op["outputs"]))
            for op in listed
        )

    def tensors(self) -> dict[int, TensorSpec]:
        """Returns every tensor of the main graph by index, named as in the file."""
        details = self._interpreter.get_tensor_details()
        return {d["index"]: _spec_of(d["name"], d) for d in details}

    def tensor(self, index: int) -> NDArray[Any]:
        """Returns a copy of any tensor's value after `invoke`.

        Raises:
            OptionError: The session was opened without `keep_tensors=True`.
        """
        if not self._keeps_tensors:
            raise OptionError("Intermediate values are not kept. Open the session with keep_tensors=True.")
        value: NDArray[Any] = self._interpreter.get_tensor(index)
        return value

    def _spec(self, name: str, details: list[dict[str, Any]], index: int) -> TensorSpec:
        return _spec_of(name, next(d for d in details if d["index"] == index))

    def _resize(self, shapes: dict[int, tuple[int, ...]]) -> None:
        with _as_format_error(self.path, f"cannot run inputs of shapes {list(shapes.values())}"):
            for index, shape in shapes.items():
                self._interpreter.resize_tensor_input(index, shape, strict=True)
            self._interpreter.allocate_tensors()
        self._shapes = shapes


def open_session(
    path: str | os.PathLike[str],
    *,
    runtime: str | Runtime | None = None,
    threads: int = 1,
    delegates: bool = True,
    keep_tensors: bool = False,
    portable: bool = False,
) -> Session:
    """Opens a .tflite file for running in this process.

    A damaged file can crash an interpreter; open a file of unknown origin in a `tfzip.sandbox.Sandbox`.

    Args:
        path: The file.
        runtime: Name of a runtime. Defaults to the first installed of litert, tflite_runtime, tf_lite.
        threads: Threads for the kernels. Defaults to 1.
        delegates: Whether XNNPACK takes what it can. Defaults to True.
        keep_tensors: Whether intermediate values stay readable; turns delegates off, since a delegate
            computes only what leaves it. Defaults to False.
        portable: Whether the plain C++ kernels run, which round as TensorFlow Lite's specification says.
            Defaults to False.

    Raises:
        FileFormatError: The file is missing, damaged, or uses what the runtime does not know.
        MissingDependencyError: No runtime is installed.
        OptionError: `threads` is not positive.
        UnknownNameError: The runtime's name is unknown.
    """
    if threads < 1:
        raise OptionError(f"threads must be at least 1. Received: {threads}.")
    where = existing_file(path)
    chosen = first_installed() if runtime is None else runtimes.get(runtime)
    with _as_format_error(where, f"cannot be opened by {runtimes.name_of(chosen)}"):
        interpreter = chosen.interpreter(
            where,
            threads=threads,
            delegates=delegates and not keep_tensors,
            keep_tensors=keep_tensors,
            portable=portable,
        )
    return Session(where, chosen, interpreter, keep_tensors)


def existing_file(path: str | os.PathLike[str]) -> str:
    """Returns the path as text, or raises `FileFormatError` when no file is there."""
    where = os.fspath(path)
    if not Path(where).is_file():
        raise FileFormatError(f"There is no .tflite file at {where}. Check the path.")
    return where


def first_installed() -> Runtime:
    """Returns the preferred runtime of those installed.

    Raises:
        MissingDependencyError: None is.
    """
    for runtime in PREFERENCE:
        if runtime.version() is not None:
            return runtime
    raise MissingDependencyError(
        "Running a .tflite file needs an interpreter and none is installed."
        f" Install one with `pip install {PREFERENCE[0].package}`."
    )


@contextmanager
def _as_format_error(path: str, what: str) -> Iterator[None]:
    """Turns what interpreters raise on bad files into a `FileFormatError` of one line."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(f"{path} {what}: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    return one_line(error).rstrip(".") or type(error).__name__


def _indices(array: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in array)


def _spec_of(name: str, details: Mapping[str, Any]) -> TensorSpec:
    signature = details.get("shape_signature", details["shape"])
    shape = signature if len(signature) == len(details["shape"]) else details["shape"]
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name, tuple(int(n) for n in shape), np.dtype(details["dtype"]).name, float(scale), int(zero_point)
    )


def _signature_names(
    interpreter: Any, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> tuple[dict[str, int], dict[str, int]]:
    """Returns name to tensor index for inputs and outputs, from the main graph's signature if it has one."""
    expected = ({d["index"] for d in inputs}, {d["index"] for d in outputs})
    signatures = interpreter._get_full_signature_list()  # noqa: SLF001 (the public list has no indices)
    for signature in signatures.values():
        if (set(signature["inputs"].values()), set(signature["outputs"].values())) == expected:
            return dict(signature["inputs"]), dict(signature["outputs"])
    return _tensor_names(inputs), _tensor_names(outputs)


def _tensor_names(details: list[dict[str, Any]]) -> dict[str, int]:
    times = Counter(d["name"] for d in details)
    return {
        d["name"] if d["name"] and times[d["name"]] == 1 else f"{d['name']}#{d['index']}": d["index"]
        for d in details
    }


def _check_names(inputs: Mapping[str, Any], known: Mapping[str, int]) -> None:
    for name in inputs:
        if name not in known:
            hint = did_you_mean(name, known)
            raise DataError(f"The file has no input {name!r}.{hint} Its inputs: {', '.join(known)}.")
    missing = [name for name in known if name not in inputs]
    if missing:
        raise DataError(f"The file needs an array for {', '.join(missing)}. Received: {', '.join(inputs)}.")


def _check_array(spec: TensorSpec, array: NDArray[Any]) -> None:
    shape, dtype = np.shape(array), np.asarray(array).dtype.name
    if not spec.fits(shape) or dtype != spec.dtype:
        raise DataError(
            f"Input {spec.name!r} must be {spec.dtype} of shape {spec.shape}."
            f" Received: {dtype} of shape {shape}."
        )
