"""What a search chooses from: named choices, some of which exist only where others were made."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from tfzip.errors import OptionError, UnknownNameError, did_you_mean

Choices = dict[str, Any]
Condition = Mapping[str, Any]

_KINDS = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Choice:
    """One of several options without an order.

    Args:
        options: Different numbers, strings, booleans or None.
        only_if: Other choices by name, each with the option or options it has to have for this one to exist.
            Defaults to always.

    Example:
        >>> Choice(["conv", "lstm"]), Choice([3, 5], only_if={"kind": "conv"})
    """

    options: Sequence[Any]
    only_if: Condition = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: Any = self.options
        if isinstance(given, str) or not isinstance(given, Sequence) or not len(given):
            raise OptionError(f"A choice has at least one option. Received: {given!r}.")
        object.__setattr__(self, "options", tuple(given))
        for option in self.options:
            if not isinstance(option, _KINDS):
                raise OptionError(
                    f"Options are numbers, strings, booleans or None. Received: {option!r}. Choose by a name,"
                    " and let the builder look it up."
                )
        if len({(type(option), option) for option in self.options}) < len(self.options):
            raise OptionError(f"Options are different. Received: {list(self.options)!r}.")


@dataclass(frozen=True)
class IntRange:
    """A whole number from `low` to `high`, both included.

    Args:
        low: The smallest.
        high: The largest.
        step: Between two that follow each other. Defaults to 1.
        only_if: As in `Choice`. Defaults to always.
    """

    low: int
    high: int
    step: int = 1
    only_if: Condition = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = [self.low, self.high, self.step]
        if not all(isinstance(one, int) for one in numbers) or self.high < self.low or self.step < 1:
            raise OptionError(
                "A range goes from a whole number to one that is no smaller, in steps of at least 1."
                f" Received: {self.low!r}, {self.high!r}, {self.step!r}."
            )

    @cached_property
    def options(self) -> tuple[int, ...]:
        """All numbers of the range."""
        return tuple(range(self.low, self.high + 1, self.step))


Parameter = Choice | IntRange


class Space:
    """All networks, or whatever else is built, among which a search looks.

    Every sample is valid: it has an option for each choice that exists, and for no other.

    Args:
        parameters: Choices and ranges by name. One that exists only where others were made comes after them.

    Raises:
        OptionError: There are none, or a condition names what is not there.

    Example:
        >>> space = tfzip.Space({"depth": tfzip.IntRange(1, 4), "kernel": tfzip.Choice([3, 5, 7])})
        >>> space.size
        12
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        given: Any = parameters
        if not isinstance(given, Mapping) or not given:
            raise OptionError(f"A space has at least one choice by name. Received: {given!r}.")
        self.parameters: dict[str, Parameter] = {}
        for name, parameter in given.items():
            if not isinstance(name, str) or not isinstance(parameter, Choice | IntRange):
                raise OptionError(
                    f"A space maps names to Choice or IntRange. Received: {name!r}: {parameter!r}."
                )
            self._check_condition(name, parameter)
            self.parameters[name] = parameter

    def _check_condition(self, name: str, parameter: Parameter) -> None:
        for other, wanted in parameter.only_if.items():
            if other not in self.parameters:
                raise OptionError(
                    f"Choice {name!r} depends on {other!r}, which does not come before it."
                    f"{did_you_mean(other, self.parameters)}"
                )
            for option in _several(wanted):
                if option not in self.parameters[other].options:
                    raise OptionError(
                        f"Choice {name!r} depends on {other}={option!r}, which is no option of it:"
                        f" {list(self.parameters[other].options)}."
                    )

    @property
    def size(self) -> int:
        """How many different samples there are."""
        if not any(parameter.only_if for parameter in self.parameters.values()):
            return prod(len(parameter.options) for parameter in self.parameters.values())
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Choices]:
        """Yields all samples; there may be very many."""
        return self._completed({}, list(self.parameters))

    def _completed(self, begun: Choices, names: Sequence[str]) -> Iterator[Choices]:
        if not names:
            yield dict(begun)
            return
        options = self.parameters[names[0]].options if self.exists(names[0], begun) else (None,)
        for option in options:
            more = {names[0]: option} if self.exists(names[0], begun) else {}
            yield from self._completed({**begun, **more}, names[1:])

    def exists(self, name: str, choices: Mapping[str, Any]) -> bool:
        """Whether a choice exists where others were made."""
        return all(
            other in choices and choices[other] in _several(wanted)
            for other, wanted in self.parameters[name].only_if.items()
        )

    def sample(self, rng: np.random.Generator) -> Choices:
        """Returns a sample in which every option of a choice that exists is as likely as the others."""
        return self.completed({}, rng)

    def completed(self, choices: Mapping[str, Any], rng: np.random.Generator) -> Choices:
        """Returns a valid sample with these choices as far as they exist, and others drawn."""
        found: Choices = {}
        for name, parameter in self.parameters.items():
            if self.exists(name, found):
                if name in choices:
                    found[name] = choices[name]
                else:
                    found[name] = parameter.options[int(rng.integers(len(parameter.options)))]
        return found

    def mutated(self, choices: Mapping[str, Any], rng: np.random.Generator) -> Choices:
        """Returns a valid sample with another option for one choice, drawn, and what follows from it."""
        may = [name for name in choices if len(self.parameters[name].options) > 1]
        if not may:
            return dict(choices)
        name = may[rng.integers(len(may))]
        others = [option for option in self.parameters[name].options if option != choices[name]]
        return self.completed({**choices, name: others[int(rng.integers(len(others)))]}, rng)

    def check(self, choices: Mapping[str, Any]) -> None:
        """Raises `OptionError` unless choices are a sample of this space."""
        for name, option in choices.items():
            if name not in self.parameters:
                raise UnknownNameError("choice", name, self.parameters)
            if option not in self.parameters[name].options:
                raise OptionError(
                    f"{option!r} is no option of {name!r}: {list(self.parameters[name].options)}."
                )
        for name in self.parameters:
            if self.exists(name, choices) != (name in choices):
                raise OptionError(
                    f"Choice {name!r} {'is missing' if name not in choices else 'does not exist here'}."
                    f" Received: {dict(choices)}."
                )

    def to_config(self) -> dict[str, Any]:
        """Returns what tells one space from another, as JSON takes it."""
        return {
            name: {
                "kind": type(parameter).__name__,
                "options": list(parameter.options),
                "only_if": {other: _several(wanted) for other, wanted in parameter.only_if.items()},
            }
            for name, parameter in self.parameters.items()
        }

    @property
    def digest(self) -> str:
        """A short name of what the space holds."""
        text = json.dumps(self.to_config(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _several(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
