"""A parity report as tables for people."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from tfzip.runtime.parity import OpParity, ParityReport
from tfzip.tables import table
from tfzip.units import format_fraction

MAX_ROWS = 20
LOWEST_ROWS = 12
MANY_SATURATED = 0.001
_OUTPUT_COLUMNS = (
    *("output", "type", ">max difference", ">mean", ">max absolute", ">relative", ">cosine"),
    *(">saturated", ">agreement"),
)
_QUALITY_COLUMNS = ("output", "metric", "verdict", ">model", ">file", ">difference", ">95 % interval")
_OP_COLUMNS = ("operation", "layers", "type", ">#", ">SQNR dB", ">accumulated", ">rms LSB", ">saturated", "")
_WORDS = ("output", "type", "metric", "verdict", "operation", "layers")


def tables(report: ParityReport) -> Iterator[Table | str]:
    """Yields what to print of a report, one after another, ending with the verdict on the operations."""
    yield f"{report.path} ({report.scheme}) against its model on {report.samples} samples"
    yield _outputs(report)
    if any(output.quality for output in report.outputs):
        yield _qualities(report)
    if report.ops:
        yield _operations(report)
    yield verdict(report)


def verdict(report: ParityReport) -> str:
    """Returns one sentence: the first divergent operation with its figure, or that there is none."""
    first = report.first_divergent_op
    if first is not None:
        sentence = (
            f"First divergent operation: #{first.index} {first.op}, layer {_joined(first)}:"
            f" SQNR {first.sqnr_db:.1f} dB, below the {first.allowed_db:g} dB that it should have."
        )
        if first.saturated > MANY_SATURATED:
            sentence += (
                f" {format_fraction(first.saturated)} of its values lie outside the calibrated range:"
                " calibrate on more samples like these."
            )
        return sentence
    if report.note:
        return f"Operations were not compared: {report.note}"
    return f"No operation diverges beyond what {report.scheme} allows."


def _outputs(report: ParityReport) -> Table:
    rows = [
        (
            o.name,
            o.dtype,
            f"{o.max_difference:.6g} {o.unit}",
            f"{o.mean_difference:.4g}",
            f"{o.max_abs:.3g}",
            f"{o.max_relative:.2g}",
            f"{o.cosine:.6f}",
            _fraction(o.saturated),
            "" if o.agreement is None else format_fraction(o.agreement),
        )
        for o in report.outputs
    ]
    return table(_OUTPUT_COLUMNS, rows, folding=_WORDS, title="Outputs")


def _qualities(report: ParityReport) -> Table:
    methods = sorted({output.quality.method for output in report.outputs if output.quality})
    title = f"Against the targets; interval of the difference: {', '.join(methods)}"
    rows = []
    for output in report.outputs:
        q = output.quality
        if q is not None:
            show = format_fraction if q.metric == "accuracy" else "{:.5g}".format
            numbers = (show(q.model), show(q.file), show(q.difference), f"{show(q.low)} to {show(q.high)}")
            rows.append((output.name, q.metric, q.verdict, *numbers))
    return table(_QUALITY_COLUMNS, rows, folding=_WORDS, title=title)


def _operations(report: ParityReport) -> Table:
    title = f"Operations by themselves; {len(report.ops)} of {report.ops_total} hold a layer's value"
    shown: Sequence[OpParity] = report.ops
    if len(shown) > MAX_ROWS:
        limit = sorted(op.sqnr_db for op in shown)[LOWEST_ROWS - 1]
        shown = [op for op in shown if op.sqnr_db <= limit]
        title += f", the {len(shown)} with the lowest ratio"
    rows = [
        (
            op.op,
            _joined(op),
            op.dtype,
            str(op.index),
            f"{op.sqnr_db:.1f}",
            f"{op.accumulated_sqnr_db:.1f}",
            "" if op.rms_lsb is None else f"{op.rms_lsb:.2f}",
            _fraction(op.saturated),
            "diverges" if op.diverges else "",
        )
        for op in shown
    ]
    return table(_OP_COLUMNS, rows, folding=_WORDS, title=title)


def _fraction(value: float) -> str:
    return format_fraction(value) if value else ""


def _joined(op: OpParity) -> str:
    return " + ".join(op.layers)
