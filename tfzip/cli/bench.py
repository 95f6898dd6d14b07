"""`tfzip bench`: files are measured in turns in child processes; a table and verdicts are printed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfzip.cli.bench_output import check_targets, keep_all, print_all, save_all, targets_of
from tfzip.cli.bench_tables import print_changes
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
@click.option("--no-history", is_flag=True, help="Add nothing to the history.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the report as JSON, of several devices as a list."
)
def command(files: tuple[str, ...], **options: Any) -> None:
    """Measure latency, start-up and memory of FILES in turns; the first is the baseline of the verdicts.

    On several devices they are measured at the same time, after this machine, which is measured alone.
    """
    from tfzip.bench.devices import device_with
    from tfzip.bench.history import default_history

    chosen = _Chosen(**{field.name: options.pop(field.name) for field in fields(_Chosen)})
    kept = Path(chosen.history) if chosen.history else default_history()
    if not files:
        _show_history(kept, chosen)
        return
    given = {name: options.pop(name) for name in _DEVICE_FIELDS}
    specs = list(dict.fromkeys(options.pop("devices")))
    if chosen.sweep:
        _check_sweep(files, specs, chosen, {**given, **options})
    targets = targets_of(chosen.outputs, specs)
    check_targets(chain.from_iterable(targets.values()), files, options["data"])
    devices = {spec: device_with(spec, given) for spec in specs}
    if chosen.sweep:
        _sweep(files[0], devices[specs[0]], chosen, options)
    else:
        _measure(
            files, devices, _Kept(kept, targets), chosen, {**options, "threads": _counts(chosen.threads)}
        )


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


@dataclass(frozen=True)
class _Kept:
    """Where reports go: the history, and the files of each device."""

    history: Path
    targets: Mapping[str, Sequence[str]]


def _show_history(history: Path, chosen: _Chosen) -> None:
    from tfzip.bench.history import changes_in, stored

    if not chosen.compare:
        raise OptionError("Name a .tflite file to measure, or --compare alone for what changed before.")
    changes = changes_in(stored(history))
    if chosen.as_json:
        click.echo(json.dumps([asdict(change) for change in changes], indent=1))
    else:
        print_changes(changes)


def _check_sweep(
    files: Sequence[str], specs: Sequence[str], chosen: _Chosen, options: Mapping[str, Any]
) -> None:
    """Raises `OptionError` for what a sweep has no use for."""
    if chosen.threads != "1" or len(files) > 1 or len(specs) > 1:
        raise OptionError("--sweep takes one file and one device, and chooses the threads itself.")
    named = {
        "--cores": options["cores"] is not None,
        "--deadline-ms": options["deadline_ms"] is not None,
        "--compare": chosen.compare,
        "--history": chosen.history is not None,
    }
    if useless := [name for name, is_given in named.items() if is_given]:
        raise OptionError(
            f"--sweep chooses the cores itself, gives no verdicts and keeps no history."
            f" Leave out {', '.join(useless)}."
        )
    if pages := [output for output in chosen.outputs if output.endswith(".html")]:
        raise OptionError(f"--sweep writes .json and .csv. Received: --output {pages[0]}.")


def _sweep(file: str, device: "Device", chosen: _Chosen, options: dict[str, Any]) -> None:
    from rich.console import Console

    from tfzip.bench.sweep import sweep

    del options["deadline_ms"]
    with _Bar(Console(stderr=True)) as bar:
        report = sweep(file, device=device, progress=bar.update, **options)
    click.echo(report.to_json() if chosen.as_json else str(report))
    for output in chosen.outputs:
        click.echo(f"Wrote {report.save(output)}", err=True)


def _measure(
    files: Sequence[str],
    devices: Mapping[str, "Device"],
    kept: _Kept,
    chosen: _Chosen,
    options: Mapping[str, Any],
) -> None:
    """Measures; everything is printed and written before the history is touched, and errors come last."""
    from rich.console import Console

    from tfzip.bench.history import check
    from tfzip.bench.parallel import benchmark_devices, raise_first

    if not chosen.no_history:
        check(kept.history)
    with _Bar(Console(stderr=True)) as bar:
        results = benchmark_devices(files, devices, progress=bar.update, **options)
    print_all(results.reports, as_json=chosen.as_json, several=len(devices) > 1)
    errors = save_all(results.reports, kept.targets)
    errors += keep_all(
        results.reports.values(),
        kept.history,
        keep=not chosen.no_history,
        show=chosen.compare and bool(results.reports),
        err=chosen.as_json,
    )
    raise_first(results)
    if errors:
        raise errors[0]


_DEVICE_FIELDS = ("cores", "fp16", "runner", "runner_binary", "adb")


def _counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise OptionError(f"--threads takes whole numbers with commas, for example 1,2. Received: {text!r}.")
    return tuple(int(part) for part in parts)


class _Bar:
    """A progress bar on standard error, shown on a terminal only."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
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
