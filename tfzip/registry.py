"""Named strategies: the one way from a name in a recipe to an object with fields."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from tfzip.errors import OptionError, UnknownNameError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to frozen dataclasses of one kind.

    A class is registered under the snake case of its name without the role: `PolynomialSchedule` in the
    registry of schedules is `"polynomial"`. Its fields are its whole configuration.

    Args:
        kind: The role, capitalised as in class names, for example `"Schedule"`.

    Example:
        >>> @schedules.register
        ... @dataclass(frozen=True)
        ... class ConstantSchedule(Schedule): ...
        >>> schedules.get({"name": "constant", "sparsity": 0.5})
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def register(self, cls: type[T]) -> type[T]:
        """Adds a class under its derived name and returns it, to be used as a decorator."""
        stem = cls.__name__.removesuffix(self.kind)
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()
        if name in self._classes:
            raise OptionError(f"{self.kind} {name!r} is registered twice. Rename {cls.__qualname__}.")
        self._classes[name] = cls
        return cls

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def type_of(self, name: str) -> type[T]:
        """Returns the class of that name, or raises `UnknownNameError` with the nearest name."""
        if name not in self._classes:
            raise UnknownNameError(self.kind.lower(), name, self._classes)
        return self._classes[name]

    def name_of(self, strategy: T) -> str:
        """Returns the registered name of an object's class."""
        for name, cls in self._classes.items():
            if type(strategy) is cls:
                return name
        raise UnknownNameError(self.kind.lower(), type(strategy).__name__, self._classes)

    def get(self, spec: str | Mapping[str, Any] | T) -> T:
        """Returns a strategy from its name, from a mapping with `name` and fields, or as it is.

        Raises:
            UnknownNameError: The name is not registered.
            OptionError: A field is unknown, missing or out of range.
        """
        if isinstance(spec, str):
            return self._build(spec, {})
        if isinstance(spec, Mapping):
            fields = dict(spec)
            if "name" not in fields:
                raise OptionError(f"A {self.kind.lower()} needs a 'name'. Received: {fields!r}.")
            return self._build(str(fields.pop("name")), fields)
        return spec

    def config_of(self, strategy: T) -> dict[str, Any]:
        """Returns the mapping from which `get` builds an equal strategy."""
        fields = dataclasses.fields(strategy)  # type: ignore[arg-type]
        return {"name": self.name_of(strategy)} | {f.name: getattr(strategy, f.name) for f in fields}

    def _build(self, name: str, fields: dict[str, Any]) -> T:
        cls = self.type_of(name)
        known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for field in fields:
            if field not in known:
                raise OptionError(
                    f"{self.kind} {name!r} has no field {field!r}.{did_you_mean(field, known)}"
                    f" Its fields: {', '.join(known) or 'none'}."
                )
        try:
            return cls(**fields)
        except TypeError as error:
            raise OptionError(f"{self.kind} {name!r}: {error}. Its fields: {', '.join(known)}.") from error
