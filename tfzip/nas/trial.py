"""What was tried, and which of two trials is better: hard constraints first, then what is wanted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """One sample and what it is worth.

    Attributes:
        number: In the order in which samples were taken.
        choices: Option by name.
        metrics: Figure by name; empty where there is a reason.
        reason: Why it cannot be built or measured; empty if it can.
        seconds: How long that took.
        predicted: How each of the figures that were not measured was come by, by name.
    """

    number: int
    choices: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    predicted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """What is wanted.

    Attributes:
        maximize: Names of metrics; a minus in front of one asks for small values.
        constraints: Largest value by metric.
    """

    maximize: tuple[str, ...]
    constraints: Mapping[str, float] = field(default_factory=dict)

    def values(self, trial: Trial) -> tuple[float, ...]:
        """Returns what is to be large, one number for each of `maximize`; -inf of what there is no figure."""
        return tuple(
            -trial.metrics.get(name[1:], np.inf) if name.startswith("-") else trial.metrics.get(name, -np.inf)
            for name in self.maximize
        )

    def excess(self, trial: Trial) -> dict[str, float]:
        """Returns by how much a trial is above each constraint, as a share of it; 0 where it is not."""
        return {
            name: max(0.0, trial.metrics[name] - cap) / max(abs(cap), 1e-12)
            for name, cap in self.constraints.items()
            if not trial.reason
        }

    def violation(self, trial: Trial) -> float:
        """Returns the sum of what a trial is above its constraints; infinity if it cannot be built."""
        return np.inf if trial.reason else sum(self.excess(trial).values())

    def key(self, trial: Trial) -> tuple[float, float]:
        """Returns what is smaller for the better of two trials by the first metric (Deb 2000).

        What keeps its constraints is better than what does not; of two that do not, the one that is nearer.
        """
        violation = self.violation(trial)
        return violation, -self.values(trial)[0] if violation == 0 else 0.0

    def front(self, trials: Sequence[Trial]) -> list[Trial]:
        """Returns the trials that keep the constraints and that no other is better than in everything.

        They are in the order of the first metric, best first; of equal ones the earliest.
        """
        may = [trial for trial in trials if self.violation(trial) == 0]
        may.sort(key=lambda trial: tuple(-value for value in self.values(trial)))
        found: list[Trial] = []
        for trial in may:
            values = self.values(trial)
            if not any(all(a >= b for a, b in zip(self.values(one), values, strict=True)) for one in found):
                found.append(trial)
        return found


class History(Sequence[Trial]):
    """The trials that have ended, in the order in which they did; it only grows."""

    def __init__(self, trials: Sequence[Trial] = ()) -> None:
        self._trials = list(trials)
        self._folded: dict[Any, tuple[int, Any]] = {}

    def __getitem__(self, index: Any) -> Any:
        return self._trials[index]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def append(self, trial: Trial) -> None:
        """Adds a trial."""
        self._trials.append(trial)

    def fold(self, key: Any, start: Callable[[], T], step: Callable[[T, Trial], T]) -> T:
        """Returns what a function makes of all trials one after the other, those of the last call kept.

        Args:
            key: Whose fold it is; it stands for `start` and `step`.
            start: Makes the state before the first trial.
            step: From a state and a trial to the next state.
        """
        done, state = self._folded.get(key) or (0, start())
        for trial in self._trials[done:]:
            state = step(state, trial)
        self._folded[key] = len(self._trials), state
        return state


def tried(history: History) -> set[Any]:
    """Returns the samples of a history, as `identity` gives them."""

    def more(known: set[Any], trial: Trial) -> set[Any]:
        known.add(identity(trial.choices))
        return known

    return history.fold("tried", set, more)


def identity(choices: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns what equal samples have in common, for sets."""
    return tuple(sorted(choices.items()))
