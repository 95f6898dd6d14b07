"""`tfzip bench`: files are measured in turns in child processes; a table and verdicts are printed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfzip.errors import OptionError
from tfzip.tables import table
from tfzip.units import format_bytes

if TYPE_CHECKING:
    from tfzip.bench import BenchmarkReport, InstructionReport, LatencyReport
    from tfzip.bench.history import Change


@click.command()
@click.argument("files", nargs=-1)
@click.option("--threads", default="1", show_default=True, help="Numbers of threads, for example 1,2.")
@click.option(
    "--runs", type=int, default=100, show_default=True, help="Least number of timed runs of a file."
)
@click.option("--launches", type=int, default=5, show_default=True, help="Fresh processes per file.")
@click.option("--data", help="Real inputs: .npz, keras:NAME, sklearn:digits, ...  [default: random]")
@click.option("--runtime", help="litert, tflite_runtime or tf_lite.  [default: the first installed]")
@click.option("--device", default="host", show_default=True, help="Where: host, qemu:cortex-a53, ...")
@click.option("--cores", help="On devices: big, mid, little, or numbers such as 4-7.  [default: all]")
@click.option("--fp16", is_flag=True, default=None, help="On devices: float32 in half precision.")
@click.option("--runner", help="On devices: native, agent, bundle or benchmark_model.")
@click.option("--runner-binary", help="On devices: path of benchmark_model.")
@click.option("--adb", help="Path of adb.  [default: $ADB, the path, or that of adbutils]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of inputs, order and bootstrap.")
@click.option(
    "--timeout", "timeout_s", type=float, default=60, show_default=True, help="Seconds to open a file."
)
@click.option("--energy", is_flag=True, help="Measure energy as well, on devices with a meter.")
@click.option("--deadline-ms", type=float, help="What a run may take; a verdict on every file follows.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    help="Write the report: .json with all samples, .csv, .html; repeatable.",
)
@click.option("--compare", is_flag=True, help="Show what changed since the last time; without FILES, of all.")
@click.option("--history", help="Where figures are kept.  [default: ~/.local/share/tfzip/history.sqlite]")
@click.option("--no-history", is_flag=True, help="Keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    files: tuple[str, ...],
    threads: str,
    outputs: tuple[str, ...],
    compare: bool,
    history: str | None,
    no_history: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure latency, start-up and memory of FILES in turns; the first is the baseline of the verdicts."""
    from rich.console import Console

    from tfzip.bench import benchmark
    from tfzip.bench.devices import device_with
    from tfzip.bench.history import add, changes_in, default_history, stored
    from tfzip.files import check_target

    kept = Path(history) if history else default_history()
    if not files:
        if not compare:
            raise OptionError("Name a .tflite file to measure, or --compare alone for what changed before.")
        _print_changes(changes_in(stored(kept)))
        return
    for output in outputs:
        check_target(output)
        _refuse_overwriting(output, files, options["data"])
    counts = _counts(threads)
    options["device"] = device_with(options["device"], {name: options.pop(name) for name in _DEVICE_FIELDS})
    messages = Console(stderr=True)
    with _Bar(messages) as bar:
        report = benchmark(files, threads=counts, progress=bar.update, **options)
    for output in outputs:
        messages.print(f"Wrote {report.save(output)}", soft_wrap=True, highlight=False)
    if as_json:
        click.echo(report.to_json())
    else:
        _print(report)
    changes = [] if no_history else add(report, kept)
    if compare:
        _print_changes(changes)


_DEVICE_FIELDS = ("cores", "fp16", "runner", "runner_binary", "adb")


def _print_changes(changes: Sequence["Change"]) -> None:
    for change in changes:
        click.echo(str(change))
    if not changes:
        click.echo("No file of these names was measured before on this device.")


def _counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise OptionError(f"--threads takes whole numbers with commas, for example 1,2. Received: {text!r}.")
    return tuple(int(part) for part in parts)


def _refuse_overwriting(output: str, files: Iterable[str], data: str | None) -> None:
    """Raises `OptionError` when the report would replace a file that is read, under whatever name."""
    named = [] if data is None else [data, data.partition("#")[0]]  # a split may follow the path of data
    target = Path(output)
    for source in map(Path, (*files, *named)):
        if target.exists() and source.exists() and target.samefile(source):
            raise OptionError(
                f"--output {output} is {source}, which is measured or read; the report would replace it."
                " Name another file, for example --output bench.json."
            )


class _Bar:
    """A progress bar on standard error, shown on a terminal only."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("starting")

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, done: int, total: int, what: str) -> None:
        """Moves the bar; between two calls nothing is drawn that could disturb a measurement."""
        self._progress.update(self._task, completed=done, total=total, description=what)


def _print(report: "BenchmarkReport") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    facts = report.environment
    console.print(f"{facts['cpu']}, {facts['cores']} cores, {facts['runtime']} {facts['runtime_version']}")
    for title, columns in (("Latency in ms", _LATENCY), ("Start in ms, peak memory", _START)):
        if report.latencies:
            console.print(_table(report.latencies, title, columns))
    if report.instructions:
        _print_instructions(console, report.instructions)
    for sentence in (
        *report.verdicts,
        *report.energies,
        *report.deadlines,
        *report.notes,
        *report.disturbances(),
    ):
        console.print(str(sentence), soft_wrap=True, markup=False)


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
    console.print(_table(reports, "Instructions per inference, in millions", columns))
    console.print(_table(reports, "Memory and outputs", _COUNTED))
    for one in reports:
        console.print(_operations(one))


def _of_class(report: "InstructionReport", name: str) -> str:
    return _millions(getattr(report.instructions, name))


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g}" if count else "-"


def _operations(report: "InstructionReport") -> Any:
    total = report.instructions.total
    counts = [
        (one.name, "XNNPACK" if one.delegated else "LiteRT", one.instructions.total)
        for one in report.operations
    ]
    counts.append(("between operations", "LiteRT", total - sum(count for _, _, count in counts)))
    rows = [(name, by, _millions(count), f"{count / total:.1%}") for name, by, count in counts]
    return table(("operation", "by", ">millions", ">share"), rows, title=f"Operations of {report.file}")


def _table(reports: Sequence[Any], title: str, columns: Mapping[str, Callable[..., str]]) -> Any:
    threads = ("threads",) if hasattr(reports[0], "threads") else ()
    headings = ("file", *(f">{name}" for name in (*threads, *columns)))
    rows = [
        (r.file, *(str(r.threads) for _ in threads), *(show(r) for show in columns.values())) for r in reports
    ]
    made = table(headings, rows, folding=("file",), title=title)
    made.columns[0].min_width = 12
    return made
