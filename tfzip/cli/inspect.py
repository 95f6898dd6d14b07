"""`tfzip inspect`: operations, formats, costs and findings of a file, read in a child process."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from tfzip.tables import printable, table
from tfzip.units import format_bytes, format_count, format_fraction

if TYPE_CHECKING:
    from tfzip.runtime.file_report import FileReport, OpReport, TensorReport

_WIDTH = 100


@click.command()
@click.argument("file", type=click.Path())
@click.option("--tensors", is_flag=True, help="List every tensor: type, shape, scale, bytes, zeros.")
@click.option(
    "--sparse-advice", "advice", is_flag=True, help="Say instead whether XNNPACK's sparse kernels apply."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(file: str, tensors: bool, advice: bool, as_json: bool) -> None:
    """Show what is in FILE: operations, layers, formats, costs, and what XNNPACK takes."""
    if advice:
        _advise(file, as_json)
        return
    from tfzip.runtime.inspect import inspect

    report = inspect(file)
    if as_json:
        click.echo(report.to_json())
    else:
        _print(report, tensors)


def _advise(file: str, as_json: bool) -> None:
    from tfzip.runtime.sparse_advice import sparse_advice

    found = sparse_advice(file)
    if as_json:
        click.echo(found.to_json())
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_WIDTH)
    verdict = "applies" if found.applies else "does not apply"
    console.print(f"XNNPACK's sparse inference {verdict} to {printable(found.path)}", soft_wrap=True)
    if found.ops:
        (first, begin), (last, end) = found.ops[0], found.ops[-1]
        span = f"{len(found.ops)} operations, {first} {begin} to {last} {end}"
        console.print(f"{'Subgraph':<13}{printable(span)}", soft_wrap=True)
        console.print(
            f"{'Zeros':<13}{format_fraction(found.zeros)} of 1x1 convolutions, more than 66.67 % needed"
        )
    if found.blockers:
        rows = ((one.op or "all", one.layer, one.why, one.remedy) for one in found.blockers)
        columns = ("op", "layer", "what blocks", "remedy")
        console.print(table(columns, rows, folding=columns, title="Blockers"))
    for warning in found.warnings:
        console.print(f"Note: {warning}", soft_wrap=True)


def _print(report: "FileReport", tensors: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_WIDTH)
    console.print(table(_OP_COLUMNS, (_op_row(report, op) for op in report.ops), folding=_FOLDING))
    if tensors:
        for number, subgraph in enumerate(report.tensors):
            title = "Tensors" if number == 0 else f"Tensors of subgraph {number}"
            rows = (_tensor_row(tensor) for tensor in subgraph)
            console.print(table(_TENSOR_COLUMNS, rows, folding=_FOLDING, title=title))
    for name, value in _facts(report):
        console.print(f"{name:<13}{printable(value)}", soft_wrap=True)
    if report.findings:
        found = ((f.kind, f.op, f.layer, f.cost) for f in report.findings)
        console.print(table(_FINDING_COLUMNS, found, folding=_FOLDING, title="\nFindings"))


_OP_COLUMNS = ("#", "op", "layer", "output", "scale", ">weights", ">MACs", ">zeros", "runs on")
_TENSOR_COLUMNS = ("#", "tensor", "type", "shape", ">scale", ">zero point", ">bytes", ">zeros")
_FINDING_COLUMNS = ("finding", "op", "layer", "cost")
_FOLDING = ("op", "layer", "tensor", "cost")


def _op_row(report: "FileReport", op: "OpReport") -> Sequence[str]:
    tensors = report.tensors[op.subgraph]
    outputs = [tensors[index] for index in op.outputs if index >= 0]
    return (
        str(op.index) if op.subgraph == 0 else f"{op.subgraph}:{op.index}",
        op.op,
        op.layer,
        "\n".join(f"{tensor.dtype} {_shape(tensor.shape)}" for tensor in outputs),
        _scale(outputs[0]) if outputs else "",
        format_bytes(op.weights_bytes) if op.weights_bytes else "",
        format_count(op.macs) if op.macs else "",
        format_fraction(op.sparsity) if op.sparsity else "",
        op.runs_on,
    )


def _tensor_row(tensor: "TensorReport") -> Sequence[str]:
    return (
        str(tensor.index),
        tensor.name.split(";")[0],
        f"{tensor.dtype}{' sparse' if tensor.is_sparse else ''} constant"
        if tensor.is_constant
        else tensor.dtype,
        _shape(tensor.shape),
        _scale(tensor),
        str(tensor.zero_point) if tensor.num_scales else "",
        format_bytes(tensor.size_bytes),
        format_fraction(tensor.sparsity) if tensor.sparsity else "",
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join("?" if dimension < 0 else str(dimension) for dimension in shape) or "scalar"


def _scale(tensor: "TensorReport") -> str:
    if not tensor.num_scales:
        return ""
    channels = f" ({tensor.num_scales})" if tensor.num_scales > 1 else ""
    return f"{tensor.scale:.4g}{channels}"


def _facts(report: "FileReport") -> Iterable[tuple[str, str]]:
    yield "File", f"{report.path}, {format_bytes(report.size_bytes)}"
    yield "Download", f"{format_bytes(report.deflate_bytes)} in an APK (DEFLATE)"
    yield "Scheme", report.scheme or "not recorded"
    for signature in report.signatures:
        tensors = report.tensors[signature.subgraph]
        for side, names in (("Input", signature.inputs), ("Output", signature.outputs)):
            for name, index in names.items():
                yield side, f"{name}: {tensors[index].dtype} {_shape(tensors[index].shape)}"
    if report.has_open_shapes:
        yield "Open shapes", "MACs and arena are for 1 in each place marked ?"
    yield "Weights", format_bytes(report.weights_bytes)
    if report.num_sparse:
        yield (
            "Sparse",
            (
                f"{report.num_sparse} constants in {format_bytes(report.sparse_bytes)},"
                f" {format_bytes(report.unpacked_bytes)} in memory, where DENSIFY unpacks them"
            ),
        )
    yield "MACs", format_count(report.macs)
    yield "Arena", "unknown" if report.arena_bytes is None else format_bytes(report.arena_bytes)
    if report.xnnpack_macs_fraction is not None:
        yield "XNNPACK", f"{format_fraction(report.xnnpack_macs_fraction)} of MACs, {_fallback(report.ops)}"
    if report.refusal:
        yield "Refused", report.refusal
    for name, value in report.metadata.items():
        if value and name != "scheme":
            yield "Metadata", f"{name}: {value}"


def _fallback(ops: Sequence["OpReport"]) -> str:
    names = sorted({op.op for op in ops if op.runs_on == "builtin"})
    unknown = "; unknown inside loops" if any(not op.runs_on for op in ops) else ""
    return (f"not {', '.join(names)}" if names else "every operation") + unknown
