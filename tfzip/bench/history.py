"""What was measured before: a local SQLite file that every report is added to, and what has become slower."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfzip.bench.devices.device import spec_of
from tfzip.bench.report import BenchmarkReport
from tfzip.errors import DataError
from tfzip.units import format_count, format_ms

_VERSION = 1
_SCHEMA = """
CREATE TABLE reports (id INTEGER PRIMARY KEY, date TEXT NOT NULL, device TEXT NOT NULL, report TEXT NOT NULL);
CREATE TABLE figures (
    report INTEGER NOT NULL REFERENCES reports (id), name TEXT NOT NULL, sha256 TEXT NOT NULL,
    device TEXT NOT NULL, threads INTEGER NOT NULL, quantity TEXT NOT NULL,
    value REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL
);
CREATE INDEX figures_of ON figures (name, device, threads, quantity, report);
"""
_TIME, _COUNT = "p50_ms", "instructions"
_MARGIN = {_TIME: 0.05, _COUNT: 1e-3}
"""What figures move by from one benchmark to the next without a cause: as for published ones, 5 %."""


_COUNTED_VERDICTS = {"slower": "more instructions", "faster": "fewer instructions"}


@dataclass(frozen=True)
class Figure:
    """One measured figure of one file.

    Attributes:
        name: Name of the file, without its folder.
        sha256: Digest of the file.
        device: Name of the device and its fields, as JSON, and its processor.
        threads: Threads for the kernels.
        quantity: `"p50_ms"` or `"instructions"`.
        value: The figure.
        low: Lower end of its 95 % interval.
        high: Upper end.
        date: When it was measured.
        report: Number of its report in the history; 0 before it is added.
        position: Place among the files of that name in the report.
    """

    name: str
    sha256: str
    device: str
    threads: int
    quantity: str
    value: float
    low: float
    high: float
    date: str
    report: int = 0
    position: int = 0

    @property
    def series(self) -> tuple[str, str, int, str]:
        """What it has in common with the figures that it is compared with."""
        return self.name, self.device, self.threads, self.quantity

    @property
    def where(self) -> str:
        """The device in words: its name and first field, the cores, and the processor."""
        config = json.loads(self.device)
        cores = config.get("cores", "all")
        words = [spec_of(config), *([f"{cores} cores"] if cores != "all" else [])]
        words += ["half precision"] if config.get("fp16") else []
        cpu = config.get("cpu")
        return ", ".join(words) + (f" ({cpu})" if cpu and cpu not in words[0] else "")


@dataclass(frozen=True)
class Change:
    """A figure and the one before it, of the same name, device and threads.

    Attributes:
        before: The earlier one.
        after: The later one.
        verdict: `"slower"`, `"faster"` or `"no difference"`.
    """

    before: Figure
    after: Figure
    verdict: str

    @property
    def ratio(self) -> float:
        """The later figure over the earlier one."""
        return self.after.value / self.before.value

    def __str__(self) -> str:
        counted = self.after.quantity == _COUNT
        show = format_count if counted else format_ms
        file = "the same file" if self.before.sha256 == self.after.sha256 else "another file of that name"
        unit = " instructions" if counted else ""
        verdict = _COUNTED_VERDICTS.get(self.verdict, self.verdict) if counted else self.verdict
        return (
            f"{self.after.name} on {self.after.where}, {self.after.threads} thread(s):"
            f" {show(self.after.value)}{unit} after {show(self.before.value)} on {self.before.date[:10]}"
            f" ({file}): {verdict}, ratio {self.ratio:.3f}"
        )


def default_history() -> Path:
    """Returns the user's history: `$XDG_DATA_HOME/tfzip/history.sqlite`, or under `~/.local/share`."""
    root = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(root) / "tfzip" / "history.sqlite"


def check(path: Path) -> None:
    """Begins a history if need be, so that what cannot be written shows before anything is measured.

    Raises:
        DataError: The file is no history, or cannot be written.
    """
    with _opened(path):
        pass


def compare(report: BenchmarkReport, path: Path) -> list[Change]:
    """Returns how a report's figures differ from the last ones of the same files, and adds nothing.

    Raises:
        DataError: The file is no history.
    """
    if not path.exists():
        return []
    with _opened(path) as database:
        return _changes(database, list(figures_of(report)))


def add(report: BenchmarkReport, path: Path) -> list[Change]:
    """Adds a report and returns how its figures differ from the last ones of the same files.

    Raises:
        DataError: The file is no history, or cannot be written.
    """
    figures = list(figures_of(report))
    with _opened(path) as database, database:
        changes = _changes(database, figures)
        row = database.execute(
            "INSERT INTO reports (date, device, report) VALUES (?, ?, ?)",
            (report.environment["date"], _device(report), report.to_json()),
        ).lastrowid
        database.executemany(
            "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (row, f.name, f.sha256, f.device, f.threads, f.quantity, f.value, f.low, f.high)
                for f in figures
            ],
        )
    return changes


def stored(path: Path, name: str | None = None) -> list[Figure]:
    """Returns figures from the earliest to the latest.

    Args:
        path: The history.
        name: Of the file, without its folder. Defaults to all.

    Raises:
        DataError: There is no history, or the file is none.
    """
    if not path.exists():
        raise DataError(f"There is no history at {path} yet. `tfzip bench FILE` begins one.")
    with _opened(path) as database:
        rows = database.execute(
            f"{_SELECT} WHERE (?1 IS NULL OR name = ?1) {_ORDER}",
            (name,),
        )
        return _placed(Figure(*row) for row in rows)


def changes_in(figures: Sequence[Figure]) -> list[Change]:
    """Returns the changes of the last report of every file's name, device, number of threads and quantity."""
    series: dict[tuple[Any, ...], list[Figure]] = {}
    for figure in figures:
        series.setdefault(figure.series, []).append(figure)
    changes = []
    for found in series.values():
        last = [figure for figure in found if figure.report == found[-1].report]
        changes += changes_between(found[: -len(last)], last)
    return changes


def changes_between(earlier: Sequence[Figure], figures: Sequence[Figure]) -> list[Change]:
    """Returns how figures of one report differ from earlier ones.

    A figure is compared with the last one of the same file. Where that was never measured, it is compared
    with the file in its place among those of its name in the last report that had any, unless that file is
    measured now as well.

    Args:
        earlier: Of other reports, from the earliest to the latest.
        figures: Of one report.
    """
    now = {figure.sha256 for figure in figures}
    pairs = [
        (_before([one for one in earlier if one.series == figure.series], figure, now), figure)
        for figure in figures
    ]
    return [Change(before, after, _verdict(before, after)) for before, after in pairs if before]


def _before(series: Sequence[Figure], figure: Figure, now: Set[str]) -> Figure | None:
    same = [one for one in series if one.sha256 == figure.sha256]
    last = (same or series)[-1:]
    found = [one for one in same or series if one.report == last[0].report]
    placed = [one for one in found if one.position == figure.position]
    if same:
        return (placed or last)[0]
    return placed[0] if placed and placed[0].sha256 not in now else None


def figures_of(report: BenchmarkReport) -> list[Figure]:
    """Returns the figures of a report that are worth keeping apart."""
    return _placed(_figures(report))


def _figures(report: BenchmarkReport) -> Iterator[Figure]:
    device, date = _device(report), str(report.environment["date"])
    for one in report.latencies:
        ends = (one.p50_ms, one.p50_low_ms, one.p50_high_ms)
        yield Figure(Path(one.file).name, one.sha256, device, one.threads, _TIME, *ends, date)
    for counted in report.instructions:
        total = float(counted.instructions.total)
        name = Path(counted.file).name
        yield Figure(name, counted.sha256, device, 1, _COUNT, total, total, total, date)


def _placed(figures: Iterable[Figure]) -> list[Figure]:
    """Returns figures with their position among those of the same name in the same report."""
    seen: Counter[tuple[Any, ...]] = Counter()
    placed = []
    for figure in figures:
        key = (figure.report, *figure.series)
        placed.append(replace(figure, position=seen[key]))
        seen[key] += 1
    return placed


def _changes(database: sqlite3.Connection, figures: Sequence[Figure]) -> list[Change]:
    names = sorted({(figure.name, figure.device) for figure in figures})
    earlier: list[Figure] = []
    for name in names:
        rows = database.execute(f"{_SELECT} WHERE name = ? AND figures.device = ? {_ORDER}", name)
        earlier += _placed(Figure(*row) for row in rows)
    return changes_between(earlier, figures)


def _device(report: BenchmarkReport) -> str:
    return json.dumps({**report.device, "cpu": report.environment["cpu"]}, sort_keys=True)


def _verdict(before: Figure, after: Figure) -> str:
    """Returns a verdict: intervals that do not meet, and a ratio beyond what figures move by themselves."""
    margin = _MARGIN[after.quantity]
    if after.low > before.high and after.value > (1 + margin) * before.value:
        return "slower"
    if after.high < before.low and after.value < before.value / (1 + margin):
        return "faster"
    return "no difference"


_SELECT = (
    "SELECT name, sha256, figures.device, threads, quantity, value, low, high, date, figures.report"
    " FROM figures JOIN reports ON reports.id = figures.report"
)
_ORDER = "ORDER BY figures.report, figures.rowid"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens a history, which is begun if need be; several processes may add to it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as database:
            with database:
                database.execute("BEGIN IMMEDIATE")
                (version,) = database.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    _begin(database, path)
                elif version != _VERSION:
                    raise DataError(f"{path} is a history of another version of tfzip. Name another file.")
            yield database
    except (sqlite3.Error, OSError) as error:
        raise DataError(f"{path} cannot serve as a history: {error}. Name another with --history.") from error


def _begin(database: sqlite3.Connection, path: Path) -> None:
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise DataError(f"{path} is another program's database. Name another file with --history.")
    for statement in filter(str.strip, _SCHEMA.split(";")):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {_VERSION}")
