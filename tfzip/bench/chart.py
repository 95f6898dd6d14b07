"""A benchmark as a page: bars with intervals, every launch as a dot, and the tables; one HTML file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfzip.html_page import escaped, html_table, whole_page
from tfzip.units import format_bytes, format_count, format_ms

if TYPE_CHECKING:
    from tfzip.bench.report import BenchmarkReport, LatencyReport

_ROW, _LEFT, _WIDTH = 34, 260, 560
_COLUMNS = (
    *("file", "threads", "min", "median", "p90", "p99", "p99.9", "max", "jitter"),
    *("first result", "memory", "size"),
)


def chart_page(report: "BenchmarkReport") -> str:
    """Returns a whole HTML page without references to anything outside of it."""
    facts = report.environment
    title = f"{facts['cpu']}, {facts['runtime']} {facts['runtime_version']}, {str(facts['date'])[:10]}"
    parts = [f"<h1>Benchmark</h1><p>{escaped(title)}</p>"]
    if report.latencies:
        parts += ["<h2>Latency</h2>", _latency_bars(report.latencies), _latency_table(report.latencies)]
    if report.instructions:
        totals = [(one.file, float(one.instructions.total), "") for one in report.instructions]
        parts += ["<h2>Instructions per inference</h2>", _bars(totals, format_count)]
    sentences = (*report.verdicts, *report.energies, *report.deadlines, *report.notes, *report.disturbances())
    parts += [f"<p>{escaped(str(sentence))}</p>" for sentence in sentences]
    return whole_page(title, parts)


def _latency_bars(latencies: Sequence["LatencyReport"]) -> str:
    highest = max(one.p50_high_ms for one in latencies)
    rows = []
    for one in latencies:
        marks = _interval(one, highest) + "".join(_dots(one, highest))
        rows.append((f"{Path(one.file).name}, {one.threads} thread(s)", one.p50_ms, marks))
    return _bars(rows, format_ms, highest)


def _interval(one: "LatencyReport", highest: float) -> str:
    low, high = (_LEFT + _WIDTH * value / highest for value in (one.p50_low_ms, one.p50_high_ms))
    return f'<path d="M{low:.1f} 13H{high:.1f}M{low:.1f} 8v10M{high:.1f} 8v10" stroke="currentColor"/>'


def _dots(one: "LatencyReport", highest: float) -> list[str]:
    medians = []
    for launch in one.launches:
        samples = sorted(sample for block in launch.samples_ms for sample in block)
        medians.append(samples[len(samples) // 2])
    places = [_LEFT + _WIDTH * min(median / highest, 1.02) for median in medians]
    return [f'<circle cx="{x:.1f}" cy="22" r="2" fill="currentColor"/>' for x in places]


def _bars(
    rows: Sequence[tuple[str, float, str]], show: Callable[[float], str], highest: float | None = None
) -> str:
    """Draws bars from (label, value, further marks) with a row each."""
    top = highest or max(value for _, value, _ in rows)
    drawn = []
    for place, (label, value, marks) in enumerate(rows):
        length = _WIDTH * value / top
        kind = "other" if place else "bar"
        shown = show(value)
        drawn.append(
            f'<g transform="translate(0 {place * _ROW})"><text x="{_LEFT - 8}" y="18" text-anchor="end">'
            f'{escaped(Path(label).name)}</text><rect class="{kind}" x="{_LEFT}" y="4" width="{length:.1f}"'
            f' height="18"/>{marks}<text x="{_LEFT + _WIDTH + 12}" y="18">{escaped(shown)}</text></g>'
        )
    size = f'width="{_LEFT + _WIDTH + 110}" height="{_ROW * len(rows)}"'
    return f'<svg {size} role="img" aria-label="bars">{"".join(drawn)}</svg>'


def _latency_table(latencies: Sequence["LatencyReport"]) -> str:
    rows = []
    for one in latencies:
        tail = (one.p99_ms, one.p999_ms, one.max_ms, one.jitter_ms)
        times = (one.min_ms, one.p50_ms, one.p90_ms, *tail, one.cold_start_ms)
        sizes = (one.peak_memory_bytes, one.size_bytes)
        rows.append([one.file, str(one.threads), *map(format_ms, times), *map(format_bytes, sizes)])
    return html_table(_COLUMNS, rows)
