"""The sole door to Optuna: trials in a storage that several workers share and that outlives them."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tfzip.errors import MissingDependencyError, OptionError
from tfzip.nas.evaluation import Evaluation
from tfzip.nas.patience import answered, quiet, with_driver
from tfzip.nas.space import Choice, Choices, Space
from tfzip.nas.stoppers import Curve
from tfzip.nas.strategies import Strategy
from tfzip.nas.trial import Goal, History, Trial
from tfzip.nas.workers import is_lost, let_go, take

if TYPE_CHECKING:
    pass

T = TypeVar("T")

MEMORY = ":memory:"
_STUDY = "tfzip"
_SPACE, _GOAL, _METRICS, _REASON, _SECONDS, _PREDICTED, _CURVE, _MEASURED, _OWNER, _BEAT = (
    f"tfzip:{name}"
    for name in (
        "space",
        "goal",
        "metrics",
        "reason",
        "seconds",
        "predicted",
        "curve",
        "measured",
        "owner",
        "beat",
    )
)


class Study:
    """All trials of a search.

    Args:
        storage: A journal file, a URL as Optuna takes it, or `":memory:"`.
        space: What is searched.
        goal: For what.

    Attributes:
        history: Trials that have ended.

    Raises:
        MissingDependencyError: Optuna, or the driver of a database, is not installed.
        OptionError: The storage holds a search of another space or goal, or cannot be reached.
    """

    def __init__(self, storage: str | os.PathLike[str], space: Space, goal: Goal) -> None:
        if find_spec("optuna") is None:
            raise MissingDependencyError('A search needs Optuna. Install it: pip install "tfzip[search]".')
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._space, self._goal = space, goal
        self._where = os.fspath(storage)
        self.history = History()
        self._known: set[int] = set()
        self._owned = ""
        directions = ["minimize" if name.startswith("-") else "maximize" for name in goal.maximize]
        self._study = self._at_storage(
            lambda: optuna.create_study(
                storage=self._opened(), study_name=_STUDY, directions=directions, load_if_exists=True
            )
        )
        self._claim()

    def ask(self, strategy: Strategy, seed: int) -> tuple[Any, Choices]:
        """Begins a trial.

        Returns:
            What `tell` takes, and the sample.
        """
        self._owned = take()
        trial = self._at_storage(lambda: self._begun(strategy, seed))
        retried = self._system(trial).get("fixed_params")
        self.refresh()
        place = self._place(trial)  # what is tried again takes the place of what was lost
        rng = np.random.default_rng([seed, place])
        if retried is None and not strategy.engine:
            retried = strategy.propose(self._space, self.history, self._goal, rng)
        self._study.sampler = _sampler(self._optuna, strategy, retried, seed, place)
        return trial, self._at_storage(lambda: self._suggested(trial))

    def tell(self, trial: Any, found: Evaluation, seconds: float) -> None:
        """Ends a trial with its figures, or with the reason why it has none.

        A trial that was given to another worker meanwhile, since this one was silent, is left to that one.
        """
        metrics, reason = found.metrics, found.reason
        attributes = {_METRICS: dict(metrics), _REASON: reason, _SECONDS: seconds}
        attributes |= {_PREDICTED: dict(found.predicted)} if found.predicted else {}

        def write() -> None:
            for name, value in attributes.items():
                trial.set_user_attr(name, value)
            if reason:
                trial.set_constraint("cannot be built", 1e9)
            for name, cap in self._goal.constraints.items():
                trial.set_constraint(name, 1e9 if reason else metrics[name] - cap)
            values = [metrics.get(name.removeprefix("-"), 0.0) for name in self._goal.maximize]
            self._study.tell(trial, values, skip_if_finished=True)

        with suppress(self._optuna.exceptions.UpdateFinishedTrialError):
            self._at_storage(write)

    def give_back(self, trial: Any, choices: Choices | None) -> None:
        """Ends a trial that came to nothing; its sample, if there is one, is tried again.

        Where two workers give back the same trial, the storage lets one of them end it, which alone puts the
        sample in line.
        """
        state = self._optuna.trial.TrialState.FAIL
        try:
            self._at_storage(lambda: self._study.tell(trial, state=state))
        except (ValueError, self._optuna.exceptions.UpdateFinishedTrialError):  # another has ended it
            return
        if choices is not None:
            self._at_storage(lambda: self._study.enqueue_trial(choices))

    def report(self, trial: Any, curve: Curve) -> list[Curve]:
        """Notes what a trial was worth so far, and returns the curves of all others."""
        self._at_storage(lambda: trial.set_user_attr(_CURVE, sorted(curve.items())))
        found = self._at_storage(lambda: self._study.get_trials(deepcopy=False))
        others = [one.user_attrs.get(_CURVE) for one in found if one.number != trial.number]
        return [dict(points) for points in others if points]

    def measured(self) -> dict[int, dict[str, float]]:
        """Returns the figures of finalists that were measured again, by trial."""
        known = self._at_storage(lambda: dict(self._study.user_attrs))
        head = f"{_MEASURED}:"
        return {int(name[len(head) :]): value for name, value in known.items() if name.startswith(head)}

    def note_measured(self, number: int, metrics: Mapping[str, float]) -> None:
        """Keeps what was measured of a finalist."""
        self._at_storage(lambda: self._study.set_user_attr(f"{_MEASURED}:{number}", dict(metrics)))

    def let_go(self) -> None:
        """Ends the work on a trial, whatever came of it."""
        let_go(self._owned)

    def beat(self, trial: Any) -> None:
        """Shows that the worker of a trial is alive."""
        with suppress(Exception):  # the next one will do
            trial.set_user_attr(_BEAT, datetime.now(UTC).isoformat())

    def refresh(self) -> None:
        """Adds what has ended since to the history, in the order in which it did."""
        complete = (self._optuna.trial.TrialState.COMPLETE,)
        found = self._at_storage(lambda: self._study.get_trials(deepcopy=False, states=complete))
        fresh = [one for one in found if one.number not in self._known]
        for one in sorted(fresh, key=lambda one: (one.datetime_complete, one.number)):
            self._known.add(one.number)
            self.history.append(_trial_of(one))

    def surplus(self, trial: Any, wanted: int) -> bool:
        """Whether trials that began before this one are already as many as wanted."""
        return self._place(trial) >= wanted

    def _place(self, trial: Any) -> int:
        """Returns how many trials that did not come to nothing began before one."""
        failed = self._optuna.trial.TrialState.FAIL
        found = self._at_storage(lambda: self._study.get_trials(deepcopy=False))
        return sum(one.number < trial.number and one.state != failed for one in found)

    def left(self, wanted: int) -> tuple[int, int]:
        """Returns how many trials have not begun, and how many have begun and not ended."""
        states = self._optuna.trial.TrialState
        counts = [one.state for one in self._at_storage(lambda: self._study.get_trials(deepcopy=False))]
        running = counts.count(states.RUNNING)
        return wanted - counts.count(states.COMPLETE) - running, running

    def rescue(self) -> None:
        """Gives back the trials of workers that are gone."""
        running = (self._optuna.trial.TrialState.RUNNING,)
        for one in self._at_storage(lambda: self._study.get_trials(deepcopy=False, states=running)):
            attributes = one.user_attrs
            if is_lost(attributes.get(_OWNER), attributes.get(_BEAT), one.datetime_start):
                self.give_back(one.number, _params_of(one, self._space))

    def _begun(self, strategy: Strategy, seed: int) -> Any:
        self._study.sampler = _sampler(self._optuna, strategy, {}, seed, 0)
        trial = self._study.ask()
        trial.set_user_attr(_OWNER, self._owned)
        trial.set_user_attr(_BEAT, datetime.now(UTC).isoformat())
        return trial

    def _suggested(self, trial: Any) -> Choices:
        found: Choices = {}
        for name, parameter in self._space.parameters.items():
            if not self._space.exists(name, found):
                continue
            if isinstance(parameter, Choice):
                found[name] = trial.suggest_categorical(name, parameter.options)
            else:
                found[name] = trial.suggest_int(
                    name, parameter.low, parameter.options[-1], step=parameter.step
                )
        return found

    def _system(self, trial: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._study.get_trials(deepcopy=False)[trial.number].system_attrs
        return found

    def _claim(self) -> None:
        """Notes what is searched for what, or checks that it is this."""
        mine = {
            _SPACE: self._space.digest,
            _GOAL: json.dumps([self._goal.maximize, sorted(self._goal.constraints.items())]),
        }
        known = self._at_storage(lambda: dict(self._study.user_attrs))
        for name, value in mine.items():
            if name not in known:
                self._at_storage(partial(self._study.set_user_attr, name, value))
            elif known[name] != value:
                what = "space" if name == _SPACE else "objective or constraints"
                raise OptionError(
                    f"{self._where} holds a search with another {what}. Name another storage, or delete it."
                )

    def _opened(self) -> Any:
        if self._where == MEMORY:
            return None
        if "://" in self._where:
            return with_driver(self._where)
        folder = Path(self._where).absolute().parent
        if not folder.is_dir():
            raise OptionError(f"The folder of the storage {self._where!r} does not exist.")
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        return JournalStorage(JournalFileBackend(self._where))

    def _at_storage(self, action: Callable[[], T]) -> T:
        return answered(action, self._where)


def _sampler(optuna: Any, strategy: Strategy, choices: Choices | None, seed: int, number: int) -> Any:
    """Returns what gives a trial its parameters: a sample that is fixed, or one of Optuna's own samplers."""
    own_seed = int(np.random.default_rng([seed, number]).integers(2**31))
    if choices is None and strategy.engine == "tpe":
        with quiet():
            return optuna.samplers.TPESampler(seed=own_seed, multivariate=True, group=True)
    if choices is None and strategy.engine == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=own_seed, population_size=strategy.population)  # type: ignore[attr-defined]

    class Fixed(optuna.samplers.BaseSampler):  # type: ignore[misc]
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:  # noqa: ARG002
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:  # noqa: ARG002
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, distribution: Any) -> Any:  # noqa: ARG002
            return (choices or {})[param_name]

    return Fixed()


def _trial_of(frozen: Any) -> Trial:
    attributes = frozen.user_attrs
    return Trial(
        frozen.number,
        dict(frozen.params),
        attributes.get(_METRICS, {}),
        attributes.get(_REASON, ""),
        attributes.get(_SECONDS, 0.0),
        attributes.get(_PREDICTED, {}),
    )


def _params_of(frozen: Any, space: Space) -> Choices | None:
    """Returns the sample of a trial that had one when its worker went."""
    choices = dict(frozen.params) or dict(frozen.system_attrs.get("fixed_params", {}))
    try:
        space.check(choices)
    except OptionError:
        return None
    return choices
