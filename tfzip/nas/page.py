"""A search as a page: every trial as a dot, the front, the limit, and a table of the front."""

from collections.abc import Callable, Sequence

from tfzip.html_page import escaped, html_table, whole_page
from tfzip.nas.trial import Goal, Trial

_WIDTH, _HEIGHT, _EDGE, _RIM = 700, 400, 80, 40
_MOST_ROWS = 100


def page(goal: Goal, trials: Sequence[Trial], front: Sequence[Trial]) -> str:
    """Returns a whole HTML page without references to anything outside of it.

    Args:
        goal: What was wanted.
        trials: All of them.
        front: Those that no other is better than, best first.
    """
    failed = sum(bool(trial.reason) for trial in trials)
    caps = ", ".join(f"{name} at most {cap:.6g}" for name, cap in goal.constraints.items())
    told = f"{len(trials)} trials, {failed} of them without figures. Wanted: {', '.join(goal.maximize)}"
    parts = [f"<h1>Search</h1><p>{escaped(f'{told}; {caps}.' if caps else f'{told}.')}</p>"]
    if any(goal.maximize[0].removeprefix("-") in trial.metrics for trial in trials):
        parts.append(_scatter(goal, trials, front))
    parts += ["<h2>Front</h2>", _table(front)]
    reasons = sorted({trial.reason for trial in trials if trial.reason})
    parts += [f"<p>{escaped(reason)}</p>" for reason in reasons[:_MOST_ROWS]]
    return whole_page("Search", parts)


def axes_of(goal: Goal) -> tuple[str, str]:
    """Returns the metric across, the next that is wanted or capped, empty for none, and the one upwards."""
    others = [name.removeprefix("-") for name in goal.maximize[1:]] or list(goal.constraints)
    return (others[0] if others else ""), goal.maximize[0].removeprefix("-")


def _scatter(goal: Goal, trials: Sequence[Trial], front: Sequence[Trial]) -> str:
    across, up = axes_of(goal)
    shown = [trial for trial in trials if up in trial.metrics]
    xs, ys = [_across(trial, across) for trial in shown], [trial.metrics[up] for trial in shown]
    caps = [goal.constraints[across]] if across in goal.constraints else []
    x, y = _scale([*xs, *caps], _EDGE, _WIDTH - _RIM), _scale(ys, _HEIGHT - _EDGE, _RIM)

    def place(trial: Trial) -> str:
        return f"{x(_across(trial, across)):.1f},{y(trial.metrics[up]):.1f}"

    dots = [_dot(trial, place(trial), "bar") for trial in shown]
    line = " ".join(place(trial) for trial in sorted(front, key=lambda one: _across(one, across)))
    dots += [f'<polyline points="{line}" fill="none" stroke="currentColor"/>']
    dots += [_dot(trial, place(trial), "other") for trial in front]
    for cap in caps:
        dots.append(
            f'<path d="M{x(cap):.1f} {_RIM}V{_HEIGHT - _EDGE}" stroke="currentColor" stroke-dasharray="4"/>'
        )
    frame = f"M{_EDGE - 8} {_RIM}V{_HEIGHT - _EDGE + 8}H{_WIDTH - _RIM}"
    dots.append(f'<path d="{frame}" fill="none" stroke="currentColor" opacity=".4"/>')
    dots += _labels([*xs, *caps], ys, x, y)
    middle = f'x="{_WIDTH / 2}" y="{_HEIGHT - 20}" text-anchor="middle"'
    dots.append(f"<text {middle}>{escaped(across or 'trial')}</text>")
    dots.append(f'<text x="8" y="14">{escaped(up)}</text>')
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="trials">{"".join(dots)}</svg>'


def _across(trial: Trial, name: str) -> float:
    return trial.metrics[name] if name else trial.number


def _scale(values: Sequence[float], low: float, high: float) -> Callable[[float], float]:
    least, span = min(values), (max(values) - min(values)) or 1.0
    return lambda value: low + (high - low) * (value - least) / span


def _dot(trial: Trial, place: str, kind: str) -> str:
    x, y = place.split(",")
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in trial.metrics.items())
    told = escaped(f"trial {trial.number}: {metrics}; {told_choices(trial)}")
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="4"><title>{told}</title></circle>'


def _labels(
    xs: Sequence[float], ys: Sequence[float], x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    bottom = _HEIGHT - _EDGE + 26
    return [
        f'<text x="{x(value):.1f}" y="{bottom}" text-anchor="middle">{value:.6g}</text>'
        for value in {min(xs), max(xs)}
    ] + [
        f'<text x="{_EDGE - 14}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.6g}</text>'
        for value in {min(ys), max(ys)}
    ]


def _table(front: Sequence[Trial]) -> str:
    names = list(dict.fromkeys(name for trial in front for name in trial.metrics))
    rows = [
        [str(trial.number), *(figure(trial, name) for name in names), told_choices(trial)]
        for trial in front[:_MOST_ROWS]
    ]
    return html_table(["trial", *names, "choices"], rows, words=["choices"])


def figure(trial: Trial, name: str) -> str:
    """Returns a figure in words; one that was not measured says so."""
    return f"{trial.metrics[name]:.6g}{' (predicted)' if name in trial.predicted else ''}"


def told_choices(trial: Trial) -> str:
    """Returns choices in words."""
    return ", ".join(f"{name}={option}" for name, option in trial.choices.items())
