"""Says what is in a file, and what a runtime makes of it, without letting the file hurt anyone."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfzip.artifact import sha256_of
from tfzip.errors import SandboxError, TfzipError, one_line
from tfzip.packing import deflate_bytes
from tfzip.runtime.file_report import FileReport, OpReport, TensorReport
from tfzip.runtime.reading import read_in, reading_child
from tfzip.runtime.session import first_installed
from tfzip.sandbox import Sandbox
from tfzip.tflite import FileGraph, audit, read, read_metadata
from tfzip.tflite.file_graph import BITS_OF, Operator, Subgraph, Tensor
from tfzip.tflite.layer_list import layers_in, scheme_in
from tfzip.tflite.loops import runs_of_subgraphs
from tfzip.tflite.macs import macs_of
from tfzip.tflite.naming import layer_of_operator
from tfzip.tflite.sparse_kernels import sparse_findings
from tfzip.tflite.sparsity import zero_fraction
from tfzip.tflite.unpacking import without_densify

_PROBE = "tfzip.runtime.runtimes.probe"


def inspect(path: str | os.PathLike[str], *, child: Sandbox | None = None) -> FileReport:
    """Says what is in a .tflite: operations, formats, costs, findings, and what the runtime makes of it.

    Everything happens in a child process with a deadline and a cap on memory, so that no file can hurt the
    caller. A file that reads well and that the runtime refuses still gets a report, with the reason in
    `refusal`.

    Args:
        path: The file.
        child: Where to work, for many files in turn. Defaults to a new child.

    Raises:
        FileFormatError: The file does not exist, is no .tflite, or is damaged.

    Example:
        >>> report = tfzip.inspect("model.tflite")
        >>> report.arena_bytes, report.xnnpack_macs_fraction
    """
    with reading_child(child) as own:
        return _inspect(os.fspath(path), own)


def _inspect(path: str, child: Sandbox) -> FileReport:
    report: FileReport = read_in(child, f"{__name__}:static_report", path)
    try:
        taken: tuple[int, ...] = child.call(f"{_PROBE}:delegated_ops", path)
    except TfzipError as error:
        crashed = "the runtime failed in its child: " if isinstance(error, SandboxError) else ""
        return dataclasses.replace(report, refusal=crashed + _reason(error))
    return _with_runtime(report, taken, _arena(report, child))


def _arena(report: FileReport, child: Sandbox) -> int | None:
    """Returns the planned memory, or None when the reference kernels do not take the file."""
    computed = [t.index for t in report.tensors[0] if not t.is_constant and t.dtype in BITS_OF]
    try:
        planned: int = child.call(f"{_PROBE}:arena_bytes", report.path, computed)
    except TfzipError:
        return None
    return planned


def _with_runtime(report: FileReport, taken: Sequence[int], arena: int | None) -> FileReport:
    on_xnnpack, runtime = set(taken), first_installed()
    ops = tuple(
        dataclasses.replace(op, runs_on="xnnpack" if op.index in on_xnnpack else "builtin")
        if op.subgraph == 0
        else op
        for op in report.ops
    )
    macs = sum(op.macs for op in ops if op.runs_on == "xnnpack")
    return dataclasses.replace(
        report,
        ops=ops,
        arena_bytes=arena,
        xnnpack_macs_fraction=macs / report.macs if report.macs else None,
        runtime=f"{runtime.package} {runtime.version()}",
    )


def _reason(error: TfzipError) -> str:
    return one_line(error).rstrip(".")


def static_report(path: str) -> FileReport:
    """Reads what needs no runtime; called in a child, whose deadline bounds it on hostile files."""
    graph, metadata = read(path), read_metadata(path)
    layers = layers_in(metadata)
    constants = {t.data_offset: t for s in graph.subgraphs for t in s.tensors if t.size_bytes}
    stored = {offset: _stored(graph, tensor) for offset, tensor in constants.items()}
    ops = _op_reports(graph, layers, stored)
    sparse = {offset: tensor for offset, tensor in constants.items() if tensor.is_sparse}
    findings = audit(graph, scheme_in(metadata), layers)
    return FileReport(
        path=path,
        size_bytes=graph.size_bytes,
        deflate_bytes=deflate_bytes(path),
        sha256=sha256_of(path),
        scheme=metadata.get("scheme", ""),
        metadata={key: value for key, value in metadata.items() if key not in ("layers", "widths")},
        signatures=graph.signatures,
        tensors=tuple(tuple(_tensor_report(t, stored) for t in s.tensors) for s in graph.subgraphs),
        ops=ops,
        weights_bytes=sum(one.size_bytes for one in stored.values()),
        macs=sum(op.macs for op in ops),
        findings=findings + (sparse_findings(graph, layers) if "sparse" in metadata else ()),
        num_sparse=len(sparse),
        sparse_bytes=sum(stored[offset].size_bytes for offset in sparse),
        unpacked_bytes=sum(tensor.dense_bytes for tensor in sparse.values()),
    )


class _Stored(NamedTuple):
    """What a constant takes in the file, with the indices of a sparse encoding, and how much is zero."""

    size_bytes: int
    zeros: float


def _stored(graph: FileGraph, tensor: Tensor) -> _Stored:
    indices = graph.sparse_layout(tensor).size_bytes if tensor.is_sparse else 0
    return _Stored(tensor.size_bytes + indices, zero_fraction(graph, tensor))


def _op_reports(
    graph: FileGraph, layers: Sequence[str], stored: Mapping[int, _Stored]
) -> tuple[OpReport, ...]:
    """Describes every operation; a sparse kernel counts for the operations that compute with it."""
    runs = runs_of_subgraphs(graph)
    direct = without_densify(graph)
    computing = [{op.index: op for op in subgraph.operators} for subgraph in direct.subgraphs]
    return tuple(
        dataclasses.replace(
            _op_report(subgraph, computing[number].get(operator.index), stored) or _unpacking(operator),
            layer=layer_of_operator(graph, subgraph, operator, layer_paths=layers) or "",
            subgraph=number,
            macs=macs_of(subgraph, operator) * runs[number],
        )
        for number, subgraph in enumerate(graph.subgraphs)
        for operator in subgraph.operators
    )


def _unpacking(operator: Operator) -> OpReport:
    return OpReport(
        subgraph=0,
        index=operator.index,
        op=operator.name,
        layer="",
        inputs=(),
        outputs=operator.outputs,
        weights=(),
        weights_bytes=0,
        macs=0,
        sparsity=0.0,
    )


def _op_report(
    subgraph: Subgraph, operator: Operator | None, stored: Mapping[int, _Stored]
) -> OpReport | None:
    """Describes an operation by itself, as if its subgraph were the main one."""
    if operator is None:
        return None
    read_by = subgraph.tensors_of(operator.inputs)
    weights = [tensor for tensor in read_by if tensor.is_constant]
    largest = max(weights, key=lambda tensor: tensor.dense_bytes, default=None)
    held = [stored[tensor.data_offset] for tensor in weights if tensor.size_bytes]
    return OpReport(
        subgraph=0,
        index=operator.index,
        op=operator.name,
        layer="",
        inputs=tuple(tensor.index for tensor in read_by if not tensor.is_constant),
        outputs=operator.outputs,
        weights=tuple(tensor.index for tensor in weights),
        weights_bytes=sum(one.size_bytes for one in held),
        macs=macs_of(subgraph, operator),
        sparsity=stored[largest.data_offset].zeros if largest and largest.size_bytes else 0.0,
        options=operator.options,
    )


def _tensor_report(tensor: Tensor, stored: Mapping[int, _Stored]) -> TensorReport:
    return TensorReport(
        index=tensor.index,
        name=tensor.name,
        shape=tensor.shape_signature,
        dtype=tensor.dtype,
        scale=max(tensor.scales, default=0.0),
        zero_point=tensor.zero_points[0] if tensor.zero_points else 0,
        num_scales=len(tensor.scales),
        size_bytes=tensor.size_bytes if tensor.is_constant else tensor.dense_bytes,
        is_constant=tensor.is_constant,
        sparsity=stored[tensor.data_offset].zeros if tensor.size_bytes else 0.0,
        is_sparse=tensor.is_sparse,
    )
