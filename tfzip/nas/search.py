"""Looks for the best of a space under hard constraints."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfzip.errors import OptionError
from tfzip.given import is_number, is_whole
from tfzip.nas.evaluation import Objective, Report, Stopped, checked, evaluated
from tfzip.nas.result import SearchResult
from tfzip.nas.space import Space
from tfzip.nas.stoppers import Stopper, stoppers
from tfzip.nas.strategies import EvolutionStrategy, Nsga2Strategy, Strategy, strategies
from tfzip.nas.study import Study
from tfzip.nas.trial import Goal, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[str], None]

_HOPELESS = 10  # trials of which none could be built
_POLL_S = 0.5
_BEAT_S = 30.0


def search(
    space: Space,
    objective: Objective,
    *,
    strategy: Strategy | str | Mapping[str, Any] = "evolution",
    stopper: Stopper | str | Mapping[str, Any] | None = None,
    maximize: str | Sequence[str] = "accuracy",
    constraints: Mapping[str, float] | None = None,
    trials: int = 100,
    seed: int = 0,
    storage: str | os.PathLike[str] = "search.journal",
    finalists: int = 3,
    progress: Progress | None = None,
) -> SearchResult:
    """Tries samples of a space and returns what is best within the constraints.

    Trials are in the storage as soon as they begin. The same call goes on where it was ended, also by
    `kill -9`: the sample that was being tried is tried again. Several processes, on several machines, that
    make the same call with one storage share the trials.

    Args:
        space: What there is to choose from.
        objective: From choices to metrics by name. Where it raises, the sample is infeasible, with the
            reason, and the search goes on. What breaks a constraint may lack the metrics of `maximize`. If it
            has a parameter `report`, it gets a function of a step and what the sample is worth there, as far
            as the first of `maximize` goes. If it has a method `measured`, from choices to metrics, the
            finalists are measured by it.
        strategy: How it goes on: a `Strategy`, its name or a mapping. Defaults to `"evolution"`, which is
            NSGA-II where several metrics are wanted.
        stopper: Which trials are ended early, from what they report: a `Stopper`, `"asha"`, `"median"` or a
            mapping. Defaults to none.
        maximize: Which metric is to be large, with a minus in front which is to be small; several for the
            front between them. Defaults to `"accuracy"`.
        constraints: Largest value by metric; what is above is never returned. Defaults to none.
        trials: How many samples to try, by all processes together. Defaults to 100.
        seed: Of what is drawn. Defaults to 0.
        storage: A journal file, a URL of a database (`postgresql://...`), or `":memory:"`. Defaults to
            `"search.journal"`.
        finalists: How many of the best an objective with `measured` measures again; those that then break a
            constraint give place to the next. Defaults to 3.
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
    for name, value, least in ("trials", trials, 1), ("seed", seed, 0), ("finalists", finalists, 1):
        if not is_whole(value, least):
            raise OptionError(f"{name} is a whole number of at least {least}. Received: {value!r}.")
    chosen: Strategy = strategies.get(strategy)
    if len(goal.maximize) > 1 and isinstance(chosen, EvolutionStrategy):
        chosen = Nsga2Strategy(chosen.population)
    chosen = chosen.prepared(space, objective, goal, seed)
    halting = None if stopper is None else stoppers.get(stopper)
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
        try:
            _one(study, objective, chosen, halting, goal, trials, seed)
        finally:
            study.let_go()
        study.refresh()
        if progress is not None:
            progress(_line(study, goal, trials, time.monotonic() - began))
        _check_hope(study)
    study.refresh()
    ended = _finalists(study, objective, goal, finalists)
    result = SearchResult(goal.maximize, dict(goal.constraints), ended)
    result.best  # noqa: B018 - raises where there is none
    return result


def _one(
    study: Study,
    objective: Objective,
    strategy: Strategy,
    stopper: Stopper | None,
    goal: Goal,
    trials: int,
    seed: int,
) -> None:
    trial, choices = study.ask(strategy, seed)
    if study.surplus(trial, trials):
        study.give_back(trial, None)
        return
    began = time.monotonic()
    sign = -1.0 if goal.maximize[0].startswith("-") else 1.0
    try:
        with _alive(study, trial):
            found = evaluated(objective, choices, goal, _reporting(study, trial, stopper, sign))
    except BaseException:  # an interrupt key, or a constraint that names no metric
        study.give_back(trial, choices)
        raise
    study.tell(trial, found, time.monotonic() - began)


def _reporting(study: Study, trial: Any, stopper: Stopper | None, sign: float) -> Report:
    """Returns what an objective calls with a step and what the sample is worth there."""
    curve: dict[int, float] = {}

    def report(step: int, value: float) -> None:
        curve[int(step)] = sign * float(value)
        others = study.report(trial, curve)
        if stopper is not None and (reason := stopper.reason(curve, others)):
            raise Stopped(reason)

    return report


def _finalists(study: Study, objective: Any, goal: Goal, most: int) -> tuple[Trial, ...]:
    """Returns all trials, the best of them as an objective measures them that can."""
    measured, again = study.measured(), getattr(objective, "measured", None)
    while True:
        trials = tuple(_as_measured(trial, measured) for trial in study.history)
        best = goal.front(trials) if len(goal.maximize) > 1 else sorted(trials, key=goal.key)
        due = [trial for trial in best[:most] if trial.number not in measured and goal.violation(trial) == 0]
        if again is None or not due:
            return trials
        found = checked(again(dict(due[0].choices)), Goal((), {}))
        measured[due[0].number] = dict(found.metrics)
        study.note_measured(due[0].number, found.metrics)


def _as_measured(trial: Trial, measured: Mapping[int, Mapping[str, float]]) -> Trial:
    own = measured.get(trial.number, {})
    left = {name: how for name, how in trial.predicted.items() if name not in own}
    return replace(trial, metrics={**trial.metrics, **own}, predicted=left) if own else trial


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
