"""The report of a run: everything as JSON, and a page to read."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfzip.files import write_text
from tfzip.recipe.recipe import Recipe
from tfzip.recipe.run_folder import StepRecord, write_json
from tfzip.recipe.table import comparison_rows, turned


@dataclass(frozen=True)
class RunReport:
    """What a run found.

    Attributes:
        name: Name of the recipe.
        folder: Where the run lives.
        recipe: The recipe with every default filled in.
        seed: Seed of the run.
        versions: Versions of the packages that decide the result.
        machine: Processor and system that the times are of.
        steps: Record of each step.
        files: Exported files, oldest first, relative to the folder.
        table: Rows of the before/after table: what, one cell per file, and the change from first to last.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    steps: tuple[StepRecord, ...]
    files: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()

    @property
    def file(self) -> Path | None:
        """The last exported file."""
        return self.folder / self.files[-1] if self.files else None

    @property
    def report_path(self) -> Path:
        """The page to read; `report.json` beside it has everything."""
        return self.folder / "report.md"


def write_report(
    recipe: Recipe, folder: Path, records: Sequence[StepRecord], versions: Mapping[str, str]
) -> RunReport:
    """Writes `report.json` and `report.md` into the run folder and returns the report."""
    exports = [
        (f"{number:02d}-{record.step}/{record.exported}", record)
        for number, record in enumerate(records, 1)
        if record.exported
    ]
    report = RunReport(
        name=recipe.name,
        folder=folder,
        recipe=recipe.resolved(),
        seed=recipe.seed,
        versions=versions,
        machine=_machine(),
        steps=tuple(records),
        files=tuple(name for name, _ in exports),
        table=comparison_rows(exports, records),
    )
    write_json(folder / "report.json", asdict(report))
    write_text(report.report_path, to_markdown(report))
    return report


def to_markdown(report: RunReport) -> str:
    """Returns the report as a page."""
    lines = [f"# Run of {report.name}", ""]
    if report.table:
        head, *rows = turned(report.table)
        lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "## Steps", "", "| step | result | seconds |", "|---|---|---|"]
    lines += [
        f"| {number}. {record.step} | {record.summary} | {record.seconds:.1f} |"
        for number, record in enumerate(report.steps, 1)
    ]
    lines += ["", "## Files", ""]
    lines += [f"- `{name}`" for name in report.files] or ["none"]
    packages = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    machine = ", ".join(f"{value}" for value in report.machine.values())
    lines += ["", f"Seed {report.seed}; {packages}; {machine}. Everything else: `report.json`.", ""]
    return "\n".join(lines)


def _machine() -> dict[str, Any]:
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu_count": os.cpu_count(),
        "python": platform.python_version(),
    }
