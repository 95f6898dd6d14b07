"""The before/after table: one column for each exported file, and the change from the first to the last."""

from collections.abc import Callable, Sequence
from typing import Any

from tfzip.recipe.run_folder import StepRecord
from tfzip.units import format_bytes, format_fraction, format_ms

Table = tuple[tuple[str, ...], ...]
_MOST_COLUMNS = 7


def comparison_rows(exports: Sequence[tuple[str, StepRecord]], records: Sequence[StepRecord]) -> Table:
    """Returns the rows of the table, the first being the headings; nothing when no file was exported.

    Args:
        exports: Name and record of every export, oldest first.
        records: All records of the run; the last comparison and the last benchmark count.
    """
    if not exports:
        return ()
    names = [name for name, _ in exports]
    parity = _last_facts(records, "compare").get("files", {})
    latencies = _last_facts(records, "benchmark").get("latencies", [])
    outputs = [parity[name]["outputs"][0] if name in parity else {} for name in names]
    qualities = [output.get("quality") or {} for output in outputs]
    metric = next((quality["metric"] for quality in qualities if quality), "")
    show = format_fraction if metric == "accuracy" else "{:.5g}".format
    rows = [
        _row("size", [r.facts["size_bytes"] for _, r in exports], format_bytes, _factor),
        _row(f"{metric}, test split", [q.get("file") for q in qualities], show, _difference(metric)),
        *[
            _row(f"latency, {threads} thread{'s' * (threads > 1)}", times, format_ms, _factor)
            for threads, times in _by_threads(latencies, names).items()
        ],
        _row("zeros in kernels", [r.facts["sparsity"] for _, r in exports], format_fraction, _no_change),
        _row("agrees with its model", [o.get("agreement") for o in outputs], format_fraction, _no_change),
        _row("cosine with its model", [o.get("cosine") for o in outputs], "{:.6f}".format, _no_change),
    ]
    headings = ("", *[_heading(name, record) for name, record in exports])
    has_change = len(exports) > 1
    table = [(*headings, "change") if has_change else headings]
    table += [row if has_change else row[:-1] for row in rows if any(row[1:])]
    return tuple(table)


def turned(rows: Table) -> Table:
    """Returns the table to be shown, with a row for each file where these are too many for columns."""
    return tuple(zip(*rows, strict=True)) if rows and len(rows[0]) > _MOST_COLUMNS else rows


def _heading(name: str, record: StepRecord) -> str:
    return f"{record.scheme} ({name.partition('/')[0]})"


def _last_facts(records: Sequence[StepRecord], step: str) -> dict[str, Any]:
    return next((dict(record.facts) for record in reversed(records) if record.step == step), {})


def _by_threads(latencies: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[int, list[float | None]]:
    times: dict[int, list[float | None]] = {}
    for latency in latencies:
        row = times.setdefault(latency["threads"], [None] * len(names))
        if latency["file"] in names:
            row[names.index(latency["file"])] = latency["p50_ms"]
    return times


def _row(
    what: str,
    values: Sequence[float | None],
    show: Callable[[float], str],
    change: Callable[[float, float], str],
) -> tuple[str, ...]:
    cells = ["" if value is None else show(value) for value in values]
    first, last = values[0], values[-1]
    return (what, *cells, "" if first is None or last is None else change(first, last))


def _factor(first: float, last: float) -> str:
    return f"{first / last:.2f}x smaller" if last <= first else f"{last / first:.2f}x larger"


def _difference(metric: str) -> Callable[[float, float], str]:
    if metric == "accuracy":
        return lambda first, last: f"{(last - first) * 100:+.2f} points"
    return lambda first, last: f"{last - first:+.3g}"


def _no_change(first: float, last: float) -> str:  # noqa: ARG001 (the shape of a change)
    return ""
