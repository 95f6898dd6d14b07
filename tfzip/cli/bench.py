"""`tfzip bench`: files are measured in turns in child processes; a table and verdicts are printed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfzip.cli.bench_tables import print_changes, print_report
from tfzip.errors import OptionError

if TYPE_CHECKING:
    from tfzip.bench.devices import Device


@click.command()
@click.argument("files", nargs=-1)
@click.option("--threads", default="1", show_default=True, help="Numbers of threads, for example 1,2.")
@click.option(
    "--runs", type=int, default=100, show_default=True, help="Least number of timed runs of a file."
)
@click.option(
    "--min-seconds",
    "min_duration_s",
    type=float,
    default=1,
    show_default=True,
    help="Least time of timed runs; MLPerf Mobile takes 1,024 runs and 60 s.",
)
@click.option("--launches", type=int, default=5, show_default=True, help="Fresh processes per file.")
@click.option("--data", help="Real inputs: .npz, keras:NAME, sklearn:digits, ...  [default: random]")
@click.option("--runtime", help="litert, tflite_runtime or tf_lite.  [default: the first installed]")
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("host",),
    help="Where: host, qemu:cortex-a53, android:SERIAL, ssh:USER@HOST; repeatable.  [default: host]",
)
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
@click.option("--sweep", is_flag=True, help="On a device: try its clusters of cores and numbers of threads.")
@click.option("--compare", is_flag=True, help="Show what changed since the last time; without FILES, of all.")
@click.option("--history", help="Where figures are kept.  [default: ~/.local/share/tfzip/history.sqlite]")
@click.option("--no-history", is_flag=True, help="Keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(files: tuple[str, ...], **options: Any) -> None:
    """Measure latency, start-up and memory of FILES in turns; the first is the baseline of the verdicts.

    On several devices they are measured at the same time.
    """
    from tfzip.bench.devices import device_with
    from tfzip.bench.history import changes_in, default_history, stored
    from tfzip.files import check_target

    chosen = _Chosen(**{field.name: options.pop(field.name) for field in fields(_Chosen)})
    kept = Path(chosen.history) if chosen.history else default_history()
    if not files:
        if not chosen.compare:
            raise OptionError("Name a .tflite file to measure, or --compare alone for what changed before.")
        print_changes(changes_in(stored(kept)))
        return
    for output in chosen.outputs:
        check_target(output)
        _refuse_overwriting(output, files, options["data"])
    given = {name: options.pop(name) for name in _DEVICE_FIELDS}
    devices = {spec: device_with(spec, given) for spec in options.pop("devices")}
    if chosen.sweep:
        _sweep(files, devices, chosen, options)
    else:
        _measure(files, devices, chosen, kept, {**options, "threads": _counts(chosen.threads)})


@dataclass(frozen=True)
class _Chosen:
    """Options that are not the benchmark's own."""

    threads: str
    outputs: tuple[str, ...]
    sweep: bool
    compare: bool
    history: str | None
    no_history: bool
    as_json: bool


def _sweep(
    files: Sequence[str], devices: Mapping[str, "Device"], chosen: _Chosen, options: dict[str, Any]
) -> None:
    from rich.console import Console

    from tfzip.bench.sweep import sweep

    if chosen.threads != "1" or len(files) > 1 or len(devices) > 1:
        raise OptionError("--sweep takes one file and one device, and chooses the threads itself.")
    with _Bar(Console(stderr=True)) as bar:
        for device in devices.values():
            click.echo(str(sweep(files[0], device=device, progress=bar.update, **options)))


def _measure(
    files: Sequence[str],
    devices: Mapping[str, "Device"],
    chosen: _Chosen,
    history: Path,
    options: Mapping[str, Any],
) -> None:
    from rich.console import Console

    from tfzip.bench.history import add
    from tfzip.bench.parallel import benchmark_devices, raise_first

    messages = Console(stderr=True)
    with _Bar(messages) as bar:
        results = benchmark_devices(files, devices, progress=bar.update, **options)
    for spec, report in results.reports.items():
        for output in chosen.outputs:
            target = _named_for(output, spec) if len(devices) > 1 else output
            messages.print(f"Wrote {report.save(target)}", soft_wrap=True, highlight=False)
        if chosen.as_json:
            click.echo(report.to_json())
        else:
            print_report(report)
        changes = [] if chosen.no_history else add(report, history)
        if chosen.compare:
            print_changes(changes)
    raise_first(results)


def _named_for(output: str, spec: str) -> str:
    """Returns the name of a report of one device among several."""
    path = Path(output)
    return str(path.with_name(f"{path.stem}-{re.sub('[^A-Za-z0-9.-]+', '-', spec)}{path.suffix}"))


_DEVICE_FIELDS = ("cores", "fp16", "runner", "runner_binary", "adb")


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
