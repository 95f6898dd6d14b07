"""Where a file departs from its model: the error of each operation by itself."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.graph.flat_graph import FlatGraph, FlatNode, filled
from tfzip.graph.keras_nodes import takes_training
from tfzip.runtime.matching import Match, match_ops, nodes_between
from tfzip.runtime.numbers import dequantize, saturated, sqnr_db
from tfzip.runtime.parity import OpParity
from tfzip.runtime.replay import FileRunner, SessionGraph

ALLOWED_DB = {"float32": 80.0, "float16": 50.0, "int8_weights": 20.0, "int8": 20.0, "int16x8": 20.0}
"""Least signal to noise ratio of one operation by scheme; see docs/compare.md for how they were chosen."""

MODEL_ALLOWED_DB = {"float16": ALLOWED_DB["float16"], "bfloat16": 32.0}
"""The same by a type that the model itself computes in: its own values are then no more exact than this."""

_TRACED_BYTES = 256 << 20

Array = NDArray[Any]


@dataclass
class _Energies:
    """Sums over samples for one operation."""

    signal: float = 0.0
    noise: float = 0.0
    accumulated_signal: float = 0.0
    accumulated_noise: float = 0.0
    count: int = 0
    saturated: int = 0

    def add(self, held: Array, expected: Array, untouched: Array, spec: TensorSpec) -> None:
        self.saturated += int(np.sum(saturated(expected, spec)))
        held, expected, untouched = (a.astype(np.float64) for a in (held, expected, untouched))
        with np.errstate(invalid="ignore", over="ignore"):
            self.signal += float(np.sum(expected**2))
            self.noise += float(np.sum((held - expected) ** 2))
            self.accumulated_signal += float(np.sum(untouched**2))
            self.accumulated_noise += float(np.sum((held - untouched) ** 2))
        self.count += held.size


@dataclass
class _Pass:
    """The values of one batch: what the model computes, and what the file holds."""

    graph: FlatGraph
    held: Mapping[int, Array]
    specs: Mapping[int, TensorSpec]
    untouched: dict[int, Array]
    forced: dict[int, Array]
    left: dict[int, int] = field(default_factory=dict)

    def run(self, energies: Mapping[int, _Energies]) -> None:
        """Runs the model twice, node by node; the second time with the file's value after each match."""
        self.left = {tensor: len(readers) for tensor, readers in self.graph.consumers().items()}
        for node in self.graph.nodes:
            for values in (self.untouched, self.forced):
                made = _call(node, values)
                values.update(zip(node.outputs, made, strict=True))
            for tensor in node.outputs:
                self._compare(tensor, energies)
            self._forget(node.inputs)

    def _compare(self, tensor: int, energies: Mapping[int, _Energies]) -> None:
        held = self.held.get(tensor)
        expected = self.forced[tensor]
        if held is not None and held.shape == expected.shape:
            energies[tensor].add(held, expected, self.untouched[tensor], self.specs[tensor])
            self.forced[tensor] = held.astype(expected.dtype)

    def _forget(self, read: Sequence[int]) -> None:
        for tensor in dict.fromkeys(read):
            self.left[tensor] -= 1
            if not self.left[tensor]:
                del self.untouched[tensor], self.forced[tensor]


def compare_ops(
    graph: FlatGraph,
    runner: FileRunner,
    inputs: Mapping[str, Array],
    untouched_inputs: Sequence[Array],
    outputs: Mapping[str, int],
) -> tuple[tuple[OpParity, ...], int, str]:
    """Compares every operation that holds a layer's value with that layer.

    The error of an operation is measured by itself: the layers it implements are given the values that the
    file computed before, not the model's, so noise from before does not count and a broken operation does not
    make those after it look broken.

    Args:
        graph: The model.
        runner: The file.
        inputs: Samples by the file's input names.
        untouched_inputs: The same in the order of the graph's inputs.
        outputs: Id of the model's tensor for each output name of the file.

    Returns:
        One entry for each matched operation in execution order, the number of operations in the file, and the
        file's scheme.
    """
    file = runner.graph()
    matches = match_ops(file, graph, outputs)
    energies = {match.value: _Energies() for match in matches}
    specs = {match.value: file.tensors[match.tensor] for match in matches}
    rows = len(untouched_inputs[0])
    step = _rows_at_once(file, matches, rows)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        traced = runner.trace({k: v[part] for k, v in inputs.items()}, [m.tensor for m in matches])
        values = {
            m.value: dequantize(traced[m.tensor], file.tensors[m.tensor])
            for m in matches
            if m.tensor in traced
        }
        given = {i: np.asarray(a[part]) for i, a in zip(graph.input_ids(), untouched_inputs, strict=True)}
        _Pass(graph, values, specs, dict(given), dict(given)).run(energies)
    scheme = scheme_of(file)
    known = {match.value for match in matches if energies[match.value].count}
    found = [
        _parity(match, energies[match.value], file, nodes, _allowed_db(graph, nodes, scheme))
        for match in matches
        if energies[match.value].count
        for nodes in [nodes_between(graph, match.value, known)]
    ]
    return tuple(found), len(file.ops), scheme


def scheme_of(file: SessionGraph) -> str:
    """Returns the scheme that the types of a file's tensors show."""
    computed = {index for op in file.ops for index in op.outputs}
    made = {file.tensors[i].dtype for i in computed if i in file.tensors}
    stored = {spec.dtype for index, spec in file.tensors.items() if index not in computed}
    if "int16" in made:
        return "int16x8"
    if "int8" in made:
        return "int8"
    if "int8" in stored or "int4" in stored:
        return "int8_weights"
    return "float16" if "float16" in stored else "float32"


def _parity(
    match: Match, energies: _Energies, file: SessionGraph, nodes: Sequence[FlatNode], allowed_db: float
) -> OpParity:
    spec = file.tensors[match.tensor]
    ratio = sqnr_db(energies.signal, energies.noise)
    rms_lsb = float(np.sqrt(energies.noise / energies.count) / spec.scale) if spec.scale else None
    worse = ratio < allowed_db and (rms_lsb is None or rms_lsb > 1.0)
    return OpParity(
        index=match.op.index,
        op=match.op.name,
        layers=tuple(node.path for node in nodes),
        dtype=spec.dtype,
        sqnr_db=ratio,
        accumulated_sqnr_db=sqnr_db(energies.accumulated_signal, energies.accumulated_noise),
        rms_lsb=rms_lsb,
        saturated=energies.saturated / energies.count,
        allowed_db=allowed_db,
        diverges=worse,
    )


def _allowed_db(graph: FlatGraph, nodes: Sequence[FlatNode], scheme: str) -> float:
    """Returns what the coarser one allows: the file's scheme or the types that the model computes in."""
    tensors = {tensor for node in nodes for tensor in (*node.inputs, *node.outputs)}
    types = {graph.tensors[tensor].dtype for tensor in tensors}
    types |= {node.operation.compute_dtype for node in nodes if isinstance(node.operation, keras.Layer)}
    return min([ALLOWED_DB[scheme], *(MODEL_ALLOWED_DB[name] for name in types & MODEL_ALLOWED_DB.keys())])


def _rows_at_once(file: SessionGraph, matches: Sequence[Match], rows: int) -> int:
    """Returns how many samples to trace together for their values to stay within 256 MiB."""
    a_sample = sum(4 * _elements(file.tensors[match.tensor]) for match in matches)
    batch = max(
        (abs(file.tensors[i].shape[0]) for i in file.inputs.values() if file.tensors[i].shape), default=1
    )
    return min(rows, max(batch, _TRACED_BYTES // max(a_sample, 1), 1))


def _elements(spec: TensorSpec) -> int:
    return int(np.prod([abs(n) for n in spec.shape[1:]], dtype=np.int64))


def _call(node: FlatNode, values: Mapping[int, Array]) -> list[Array]:
    """Calls an operation in inference mode, which is not the default of augmentation layers."""
    args, kwargs = filled((node.args, node.kwargs), values)
    if takes_training(node.operation) and not _fixes_training(node):
        kwargs["training"] = False
    made = node.operation(*args, **kwargs)
    return [np.asarray(keras.ops.convert_to_numpy(array)) for array in keras.tree.flatten(made)]


def _fixes_training(node: FlatNode) -> bool:
    """Whether a call differs from the layer's default, which Keras writes into calls that give nothing."""
    parameter = inspect.signature(node.operation.call).parameters.get("training")
    default = None if parameter is None else parameter.default
    return node.kwargs.get("training", default) is not default
