"""Looks for the best of a space under hard constraints."""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tfzip.errors import OptionError, one_line
from tfzip.given import is_number, is_whole
from tfzip.nas.result import SearchResult
from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies import EvolutionStrategy, Nsga2Strategy, Strategy, strategies
from tfzip.nas.study import Study
from tfzip.nas.trial import Goal

if TYPE_CHECKING:
    from collections.abc import Iterator

Objective = Callable[[Choices], Mapping[str, float]]
Progress = Callable[[str], None]

_HOPELESS = 10  # trials of which none could be built
_POLL_S = 0.5
_MOST_CHARACTERS = 300  # of a reason
_BEAT_S = 30.0


def search(
    space: Space,
    objective: Objective,
    *,
    strategy: Strategy | str | Mapping[str, Any] = "evolution",
    maximize: str | Sequence[str] = "accuracy",
    constraints: Mapping[str, float] | None = None,
    trials: int = 100,
    seed: int = 0,
    storage: str | os.PathLike[str] = "search.journal",
    progress: Progress | None = None,
) -> SearchResult:
    """Tries samples of a space and returns what is best within the constraints.

    Trials are in the storage as soon as they begin. The same call goes on where it was ended, also by
    `kill -9`: the sample that was being tried is tried again. Several processes, on several machines, that
    make the same call with one storage share the trials.

    Args:
        space: What there is to choose from.
        objective: From choices to metrics by name. Where it raises, the sample is infeasible, with the
            reason, and the search goes on.
        strategy: How it goes on: a `Strategy`, its name or a mapping. Defaults to `"evolution"`, which is
            NSGA-II where several metrics are wanted.
        maximize: Which metric is to be large, with a minus in front which is to be small; several for the
            front between them. Defaults to `"accuracy"`.
        constraints: Largest value by metric; what is above is never returned. Defaults to none.
        trials: How many samples to try, by all processes together. Defaults to 100.
        seed: Of what is drawn. Defaults to 0.
        storage: A journal file, a URL of a database (`postgresql://...`), or `":memory:"`. Defaults to
            `"search.journal"`.
        progress: Takes one line for each trial. Defaults to None.

    Returns:
        Every trial, the best, and the front.

    Raises:
        OptionError: An argument is out of range, the storage holds another search or is gone, nothing can be
            built, or no trial keeps the constraints.
        MissingDependencyError: Optuna is not installed: `pip install "tfzip[search]"`.

    Example:
        >>> space = tfzip.Space({"depth": tfzip.IntRange(1, 4), "kernel": tfzip.Choice([3, 5, 7])})
        >>> found = tfzip.search(space, objective, constraints={"macs": 5e6}, trials=50)
        >>> found.best.choices, found.best.metrics
    """
    goal = _goal(maximize, constraints)
    if not isinstance(space, Space):
        raise OptionError(f"A search takes a Space. Received: {type(space).__name__}.")
    for name, value, least in ("trials", trials, 1), ("seed", seed, 0):
        if not is_whole(value, least):
            raise OptionError(f"{name} is a whole number of at least {least}. Received: {value!r}.")
    chosen: Strategy = strategies.get(strategy)
    if len(goal.maximize) > 1 and isinstance(chosen, EvolutionStrategy):
        chosen = Nsga2Strategy(chosen.population)
    chosen = chosen.prepared(space, objective, goal, seed)
    study = Study(storage, space, goal)
    began = time.monotonic()
    while True:
        study.rescue()
        unbegun, running = study.left(trials)
        if unbegun <= 0 and not running:
            break
        if unbegun <= 0:  # others are at work
            time.sleep(_POLL_S)
            continue
        _one(study, objective, chosen, goal, trials, seed)
        if progress is not None:
            progress(_line(study, goal, trials, time.monotonic() - began))
        _check_hope(study)
    study.refresh()
    result = SearchResult(goal.maximize, dict(goal.constraints), tuple(study.history))
    result.best  # noqa: B018 - raises where there is none
    return result


def _one(study: Study, objective: Objective, strategy: Strategy, goal: Goal, trials: int, seed: int) -> None:
    trial, choices = study.ask(strategy, seed)
    if study.surplus(trial, trials):
        study.give_back(trial, None)
        return
    began = time.monotonic()
    try:
        with _alive(study, trial):
            metrics, reason = _measured(objective, choices, goal)
    except BaseException:  # an interrupt key, or a constraint that names no metric
        study.give_back(trial, choices)
        raise
    study.tell(trial, metrics, reason, time.monotonic() - began)


def _measured(objective: Objective, choices: Choices, goal: Goal) -> tuple[dict[str, float], str]:
    """Returns the metrics of a sample, or the reason why it has none."""
    try:
        found = objective(dict(choices))
    except Exception as error:  # noqa: BLE001 - a builder may raise anything
        return {}, f"{type(error).__name__}: {one_line(error)[:_MOST_CHARACTERS]}"
    if not isinstance(found, Mapping):
        raise OptionError(f"The objective returns metrics by name. Received: {type(found).__name__}.")
    try:
        metrics = {str(name): float(value) for name, value in found.items()}
    except (TypeError, ValueError) as error:
        raise OptionError(f"The objective returns a number for each metric: {one_line(error)}.") from error
    for name in (*(one.removeprefix("-") for one in goal.maximize), *goal.constraints):
        if name not in metrics:
            raise OptionError(
                f"The objective returns no {name!r}. Its metrics: {', '.join(metrics) or 'none'}."
            )
        if not math.isfinite(metrics[name]):
            return {}, f"{name} is {metrics[name]}"
    return metrics, ""


@contextmanager
def _alive(study: Study, trial: Any) -> "Iterator[None]":
    """Shows from time to time that this process is at work on a trial."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_S):
            study.beat(trial)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _check_hope(study: Study) -> None:
    """Raises `OptionError` where nothing could be built so far."""
    study.refresh()
    if len(study.history) == _HOPELESS and all(trial.reason for trial in study.history):
        raise OptionError(
            f"None of the first {_HOPELESS} samples could be built. The last: {study.history[-1].reason}"
        )


def _goal(maximize: Any, constraints: Any) -> Goal:
    names = (maximize,) if isinstance(maximize, str) else tuple(maximize or ())
    if not names or not all(isinstance(name, str) and name.strip("-") for name in names):
        raise OptionError(f"maximize names one metric or several. Received: {maximize!r}.")
    caps = dict(constraints or {})
    for name, cap in caps.items():
        if not is_number(cap):
            raise OptionError(f"A constraint is the largest value of a metric. Received: {name!r}: {cap!r}.")
    return Goal(names, {str(name): float(cap) for name, cap in caps.items()})


def _line(study: Study, goal: Goal, trials: int, seconds: float) -> str:
    done = len(study.history)
    best = min(study.history, key=goal.key, default=None)
    left = seconds / max(done, 1) * max(trials - done, 0)
    name = goal.maximize[0].removeprefix("-")
    value = (
        f"{best.metrics[name]:.6g}" if best and goal.violation(best) == 0 else "none within the constraints"
    )
    return f"trial {done} of {trials}, best {name} {value}, about {left:.0f} s left"
