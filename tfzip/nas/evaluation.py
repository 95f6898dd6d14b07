"""A sample through an objective: its metrics, or the reason why it has none."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfzip.errors import OptionError, one_line
from tfzip.nas.predictor import Prediction
from tfzip.nas.space import Choices
from tfzip.nas.trial import Goal

Objective = Callable[..., Mapping[str, Any]]
Report = Callable[[int, float], None]

_MOST_CHARACTERS = 300  # of a reason


class Stopped(Exception):  # noqa: N818 - a way out, not an error
    """Raised from `report` where a trial is not worth its remaining steps."""


@dataclass(frozen=True)
class Evaluation:
    """What an objective said of a sample.

    Attributes:
        metrics: Figure by name; empty where there is a reason.
        reason: Why there are none.
        predicted: How each of the figures that were not measured was come by.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    predicted: Mapping[str, str] = field(default_factory=dict)


def evaluated(objective: Objective, choices: Choices, goal: Goal, report: Report) -> Evaluation:
    """Calls an objective, which gets `report` if it has a parameter of that name.

    Raises:
        OptionError: It returns something else than numbers by name, or lacks one that is wanted.
    """
    extra = {"report": report} if _takes_report(objective) else {}
    try:
        found = objective(dict(choices), **extra)
    except Stopped as stopped:
        return Evaluation(reason=f"stopped: {stopped}")
    except Exception as error:  # noqa: BLE001 - a builder may raise anything
        return Evaluation(reason=f"{type(error).__name__}: {one_line(error)[:_MOST_CHARACTERS]}")
    return checked(found, goal)


def checked(found: Any, goal: Goal) -> Evaluation:
    """Returns what an objective returned, every figure a finite number.

    What breaks a constraint need not be tried further, so it may lack what is wanted of the others.

    Raises:
        OptionError: It is something else than numbers by name, or lacks one that is wanted.
    """
    if not isinstance(found, Mapping):
        raise OptionError(f"The objective returns metrics by name. Received: {type(found).__name__}.")
    predicted = {str(name): str(value) for name, value in found.items() if isinstance(value, Prediction)}
    try:
        metrics = {str(name): float(value) for name, value in found.items()}
    except (TypeError, ValueError) as error:
        raise OptionError(f"The objective returns a number for each metric: {one_line(error)}.") from error
    over = any(metrics.get(name, cap) > cap for name, cap in goal.constraints.items())
    wanted = () if over else tuple(one.removeprefix("-") for one in goal.maximize)
    for name in (*wanted, *goal.constraints):
        if name not in metrics:
            raise OptionError(
                f"The objective returns no {name!r}. Its metrics: {', '.join(metrics) or 'none'}."
            )
        if not math.isfinite(metrics[name]):
            return Evaluation(reason=f"{name} is {metrics[name]}")
    return Evaluation(metrics, predicted=predicted)


def _takes_report(objective: Objective) -> bool:
    try:
        return "report" in inspect.signature(objective).parameters
    except (TypeError, ValueError):  # some built-in callables have none
        return False
