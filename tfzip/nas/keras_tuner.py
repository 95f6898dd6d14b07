"""Spaces from KerasTuner's hypermodels, without a word to KerasTuner's own searches."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from tfzip.errors import MissingDependencyError, OptionError
from tfzip.nas.space import Choice, Choices, IntRange, Parameter, Space
from tfzip.nas.spaces.model_space import ModelSpace

if TYPE_CHECKING:
    import keras

_LOOKED_AT = 8  # options of a choice, when what exists only with some of them is looked for


def from_keras_tuner(hypermodel: Any, *, points: int = 10) -> ModelSpace:
    """Returns the space of a KerasTuner `HyperModel`, or of a function that takes its `HyperParameters`.

    The builder is called with each option of what it asks for, to find what it asks for only then, such as
    the width of a layer that is not always there. What it asks for within `conditional_scope` exists only
    where that holds; what it asks for in an `if` of its own always exists, and is ignored where it is not
    used.

    Args:
        hypermodel: With a method `build(hp)`, or a function of `hp`.
        points: How many values stand for a range of floats without a step. Defaults to 10.

    Raises:
        MissingDependencyError: KerasTuner is not installed: `pip install keras-tuner`.
        OptionError: The builder asks for nothing, or for two things by one name.

    Example:
        >>> networks = tfzip.from_keras_tuner(MyHyperModel())
        >>> found = tfzip.search(networks.space, objective)  # where objective calls networks.build(choices)
    """
    if find_spec("keras_tuner") is None:
        raise MissingDependencyError(
            "Hypermodels need KerasTuner. Install it with `pip install keras-tuner`."
        )
    build: Callable[[Any], Any] = getattr(hypermodel, "build", hypermodel)
    parameters: dict[str, Parameter] = {}
    fixed: dict[str, Any] = {}
    for one in _found(build):
        known, kind = parameters.get(one.name), type(one).__name__
        if kind == "Fixed":
            fixed[one.name] = one.value
            continue
        options = _options(one, points)
        conditions = {parent.name: list(parent.values) for parent in one.conditions}
        if known is not None and (known.options != options or known.only_if != conditions):
            raise OptionError(
                f"The hypermodel asks for {one.name!r} twice, under other conditions. Name the two apart."
            )
        whole = kind == "Int" and one.sampling in (None, "linear")
        parameters[one.name] = (
            IntRange(one.min_value, one.max_value, one.step or 1, only_if=conditions)
            if whole
            else Choice(options, only_if=conditions)
        )
    if not parameters:
        raise OptionError("The hypermodel asks for nothing, so there is nothing to choose from.")

    def built(choices: Mapping[str, Any]) -> "keras.Model":
        return build(_given({**fixed, **choices}))

    return ModelSpace(Space(parameters), built)


def _found(build: Callable[[Any], Any]) -> list[Any]:
    """Returns all that a builder asks for, in the order in which it is needed."""
    found: dict[tuple[str, str], Any] = {}
    waiting: list[Choices] = [{}]
    while waiting:
        values = waiting.pop(0)
        asked = _given(values)
        build(asked)
        for one in asked.space:
            key = (one.name, str([(c.name, c.values) for c in one.conditions]))
            if key not in found:
                found[key] = one
                waiting += [{**values, one.name: option} for option in _looked_at(one)]
    return list(found.values())


def _given(values: Mapping[str, Any]) -> Any:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp


def _looked_at(one: Any) -> list[Any]:
    if type(one).__name__ == "Fixed":
        return []
    options = _options(one, 2)
    return list(options) if len(options) <= _LOOKED_AT else [options[0], options[-1]]


def _options(one: Any, points: int) -> tuple[Any, ...]:
    """Returns the values of a hyperparameter."""
    kind = type(one).__name__
    if kind == "Boolean":
        return (False, True)
    if kind == "Choice":
        return tuple(one.values)
    low, high, step = one.min_value, one.max_value, one.step
    if one.sampling in ("log", "reverse_log") and step:  # a factor
        values = [low * step**power for power in range(1 + int(np.log(high / low) / np.log(step) + 1e-9))]
    elif kind == "Int" and one.sampling in (None, "linear"):
        values = list(range(low, high + 1, step or 1))
    elif one.sampling in ("log", "reverse_log"):
        values = np.geomspace(low, high, points).tolist()
    else:
        count = points if step is None else 1 + int((high - low) / step + 1e-9)
        values = np.linspace(low, low + step * (count - 1) if step else high, count).tolist()
    if kind == "Int":
        values = sorted({round(value) for value in values})
    return tuple(values)
