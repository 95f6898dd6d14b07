"""Where `tfzip bench` writes its reports, and what it keeps of them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfzip.cli.bench_tables import print_changes, print_report
from tfzip.errors import OptionError, TfzipError

if TYPE_CHECKING:
    from tfzip.bench import BenchmarkReport
    from tfzip.bench.history import Change


def targets_of(outputs: Sequence[str], specs: Sequence[str]) -> dict[str, list[str]]:
    """Returns the files to write for each device: with its name in theirs where there are several."""
    found: dict[str, list[str]] = {spec: [] for spec in specs}
    taken: set[str] = set()
    for output in outputs:
        for spec in specs:
            target = _named_for(output, spec, taken) if len(specs) > 1 else output
            taken.add(target)
            found[spec].append(target)
    return found


def check_targets(targets: Iterable[str], files: Iterable[str], data: str | None) -> None:
    """Raises `OptionError` when a file cannot be written, or would replace one that is read."""
    from tfzip.files import check_target

    for target in targets:
        check_target(target)
        _refuse_overwriting(target, files, data)


def print_all(reports: Mapping[str, "BenchmarkReport"], *, as_json: bool, several: bool) -> None:
    """Prints reports as tables, or as one JSON document: a list where several devices were named."""
    if as_json:
        found = [report.to_dict() for report in reports.values()]
        if several or found:
            click.echo(json.dumps(found if several else found[0], indent=1, allow_nan=False))
        return
    for report in reports.values():
        print_report(report)


def save_all(
    reports: Mapping[str, "BenchmarkReport"], targets: Mapping[str, Sequence[str]]
) -> list[TfzipError]:
    """Writes reports, as many as can be, and returns what went wrong."""
    errors: list[TfzipError] = []
    for spec, report in reports.items():
        for target in targets[spec]:
            try:
                click.echo(f"Wrote {report.save(target)}", err=True)
            except TfzipError as error:
                errors.append(error)
    return errors


def keep_all(
    reports: Iterable["BenchmarkReport"], history: Path, *, keep: bool, show: bool, err: bool
) -> list[TfzipError]:
    """Adds reports to the history, prints what changed, and returns what went wrong.

    Args:
        reports: What was measured.
        history: The history.
        keep: Whether they are added.
        show: Whether changes are printed.
        err: Whether to standard error, where standard output has a document.
    """
    from tfzip.bench.history import add, compare

    changes: list[Change] = []
    errors: list[TfzipError] = []
    for report in reports:
        try:
            if keep:
                changes += add(report, history)
            elif show:
                changes += compare(report, history)
        except TfzipError as error:
            errors.append(error)
    if show and not errors:
        print_changes(changes, err=err)
    return errors


def _named_for(output: str, spec: str, taken: set[str]) -> str:
    """Returns the name of a report of one device among several, which no other has."""
    path, device = Path(output), re.sub("[^A-Za-z0-9._-]+", "-", spec)
    names = (
        f"{path.stem}-{device}{suffix}{path.suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 99)))
    )
    return next(target for name in names if (target := str(path.with_name(name))) not in taken)


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
