"""What `tfzip bench` prints of its reports."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tfzip.tables import print_table
from tfzip.units import format_bytes

if TYPE_CHECKING:
    from tfzip.bench import BenchmarkReport, InstructionReport, LatencyReport
    from tfzip.bench.history import Change


def print_report(report: "BenchmarkReport") -> None:
    """Prints tables and sentences."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    facts = report.environment
    console.print(f"{facts['cpu']}, {facts['cores']} cores, {facts['runtime']} {facts['runtime_version']}")
    for title, columns in (("Latency in ms", _LATENCY), ("Start in ms, peak memory", _START)):
        if report.latencies:
            _print_table(console, report.latencies, title, columns)
    if report.instructions:
        _print_instructions(console, report.instructions)
    for sentence in (
        *report.verdicts,
        *report.energies,
        *report.deadlines,
        *report.notes,
        *report.disturbances(),
    ):
        console.print(str(sentence), soft_wrap=True)


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


_LATENCY: dict[str, Callable[["LatencyReport"], str]] = {
    "min": lambda r: _ms(r.min_ms),
    "median": lambda r: _ms(r.p50_ms),
    "95 % interval": lambda r: f"{_ms(r.p50_low_ms)} to {_ms(r.p50_high_ms)}",
    "p90": lambda r: _ms(r.p90_ms),
    "p95": lambda r: _ms(r.p95_ms),
    "p99": lambda r: _ms(r.p99_ms),
    "max": lambda r: _ms(r.max_ms),
}
_START: dict[str, Callable[["LatencyReport"], str]] = {
    "cold start": lambda r: _ms(r.cold_start_ms),
    "init": lambda r: _ms(r.init_ms),
    "first run": lambda r: _ms(r.first_inference_ms),
    "memory": lambda r: format_bytes(r.peak_memory_bytes),
    "file size": lambda r: format_bytes(r.size_bytes),
}


_CLASSES = ("fmla", "smlal", "sdot", "smmla", "simd", "load", "store", "branch", "scalar")
_COUNTED: dict[str, Callable[["InstructionReport"], str]] = {
    "heap": lambda r: format_bytes(r.heap_bytes),
    "file size": lambda r: format_bytes(r.size_bytes),
    "outputs differ from the host's by": lambda r: (
        "nothing" if r.agreement.identical else f"{r.agreement.largest:.1g}"
    ),
}


def _print_instructions(console: Any, reports: Sequence["InstructionReport"]) -> None:
    used = [name for name in _CLASSES if any(getattr(one.instructions, name) for one in reports)]
    columns: dict[str, Callable[[InstructionReport], str]] = {
        name: partial(_of_class, name=name) for name in ("total", *used)
    }
    _print_table(console, reports, "Instructions per inference, in millions", columns)
    _print_table(console, reports, "Memory and outputs", _COUNTED)
    for one in reports:
        _print_operations(console, one)


def _of_class(report: "InstructionReport", name: str) -> str:
    return _millions(getattr(report.instructions, name))


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g}" if count else "-"


def _print_operations(console: Any, report: "InstructionReport") -> None:
    total = report.instructions.total
    counts = [
        (one.name, "XNNPACK" if one.delegated else "LiteRT", one.instructions.total)
        for one in report.operations
    ]
    counts.append(("between operations", "LiteRT", total - sum(count for _, _, count in counts)))
    rows = [(name, by, _millions(count), f"{count / total:.1%}") for name, by, count in counts]
    headings = ("operation", "by", ">millions", ">share")
    print_table(console, headings, rows, folding=("operation",), title=f"Operations of {report.file}")


def _print_table(
    console: Any, reports: Sequence[Any], title: str, columns: Mapping[str, Callable[..., str]]
) -> None:
    threads = ("threads",) if hasattr(reports[0], "threads") else ()
    headings = ("file", *(f">{name}" for name in (*threads, *columns)))
    rows = [
        (r.file, *(str(r.threads) for _ in threads), *(show(r) for show in columns.values())) for r in reports
    ]
    print_table(console, headings, rows, keys=1 + len(threads), folding=("file",), title=title)


def print_changes(changes: Sequence["Change"], *, err: bool = False) -> None:
    """Prints what became slower or faster, to standard error if asked for."""
    for change in changes:
        click.echo(str(change), err=err)
    if not changes:
        click.echo("No file of these names was measured before on this device.", err=err)
