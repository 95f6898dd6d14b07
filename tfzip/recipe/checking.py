"""Builds frozen dataclasses from the tables of a recipe, every name and type checked by the annotations."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, cast

from tfzip.errors import RecipeError, TfzipError, did_you_mean
from tfzip.registry import Registry

T = TypeVar("T")

_TOML_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "an array",
    tuple: "an array",
    dict: "a table",
}


def build(cls: type[T], fields: Mapping[str, Any], where: str) -> T:
    """Returns an object of a dataclass from the fields of a table.

    Args:
        cls: The dataclass; its annotations say what is allowed.
        fields: Names and values as TOML gives them.
        where: What the table is, at the start of every message.

    Raises:
        RecipeError: A field is unknown, missing, of another type, or out of range.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    known = {field.name: field for field in dataclasses.fields(cast(Any, cls)) if field.init}
    for name in fields:
        if name not in known:
            near = did_you_mean(name, known)
            raise RecipeError(
                f"{where}: unknown field {name!r}.{near} Its fields: {', '.join(known) or 'none'}."
            )
    for name, field in known.items():
        if name not in fields and _is_required(field):
            raise RecipeError(
                f"{where}: field {name!r} is missing. Expected {describe(hints[name])}: {name} = ..."
            )
    values = {name: check(value, hints[name], f"{where}, field {name!r}") for name, value in fields.items()}
    try:
        return cls(**values)
    except TfzipError as error:
        raise RecipeError(f"{where}: {error}") from error


def check(value: Any, hint: Any, where: str) -> Any:
    """Returns a value in the form that an annotation asks for, or raises `RecipeError` with both."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _strategy(value, _registry_of(hint), where)
    if origin in (Union, types.UnionType):
        return _first_fit(value, arguments, hint, where)
    if origin is Literal:
        if value in arguments:
            return value
        near = did_you_mean(value, [str(choice) for choice in arguments])
        raise RecipeError(f"{where}: expected {describe(hint)}, received {value!r}.{near}")
    if origin is tuple:
        return _array(value, arguments, hint, where)
    if origin is Mapping and isinstance(value, dict):
        return {name: check(part, arguments[1], f"{where}, {name}") for name, part in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(cast(type, hint), value, where)
    if _PLAIN[hint](value) if hint in _PLAIN else hint is Any:
        return float(value) if hint is float else value
    raise _mismatch(value, hint, where)


_PLAIN: dict[Any, Callable[[Any], bool]] = {
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ),
    str: lambda value: isinstance(value, str),
}


def describe(hint: Any) -> str:
    """Returns in words what an annotation allows."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _describe_strategy(_registry_of(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(part) for part in arguments if part is not type(None))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"an array, each item {describe(arguments[0])}"
    if origin is tuple:
        return f"an array of {len(arguments)} items"
    if origin is Mapping:
        return f"a table, each value {describe(arguments[1])}"
    if dataclasses.is_dataclass(hint):
        return f"a table with {', '.join(field.name for field in dataclasses.fields(hint))}"
    return _TOML_NAMES.get(hint, str(hint))


def _registry_of(hint: Any) -> Registry[Any]:
    """Returns the registry of a field that is annotated with one: `Annotated[Schedule, schedules]`."""
    registry: Registry[Any] = hint.__metadata__[0]
    return registry


def _describe_strategy(registry: Registry[Any]) -> str:
    return f"a {registry.kind.lower()} ({', '.join(registry)}) or a table with its name and fields"


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _mismatch(value: Any, hint: Any, where: str) -> RecipeError:
    kind = _TOML_NAMES.get(type(value), type(value).__name__)
    return RecipeError(f"{where}: expected {describe(hint)}, received {kind}, {value!r}.")


def _first_fit(value: Any, hints: tuple[Any, ...], hint: Any, where: str) -> Any:
    for part in hints:
        if part is type(None):
            continue
        try:
            return check(value, part, where)
        except RecipeError as error:
            if len([other for other in hints if other is not type(None)]) == 1:
                raise error
    raise _mismatch(value, hint, where)


def _array(value: Any, hints: tuple[Any, ...], hint: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(value, hint, where)
    if hints[-1] is Ellipsis:
        return tuple(check(item, hints[0], f"{where}, item {i}") for i, item in enumerate(value, 1))
    if len(value) != len(hints):
        raise _mismatch(value, hint, where)
    pairs = enumerate(zip(value, hints, strict=True), 1)
    return tuple(check(item, part, f"{where}, item {i}") for i, (item, part) in pairs)


def _strategy(value: Any, registry: Registry[Any], where: str) -> Any:
    """Builds a strategy from its name, or from a table with `name` and its fields."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise RecipeError(f"{where}: expected {_describe_strategy(registry)}. Received: {value!r}.")
    fields = dict(value)
    name = fields.pop("name")
    try:
        cls = registry.type_of(name)
    except TfzipError as error:
        raise RecipeError(f"{where}: {error}") from error
    return build(cls, fields, f"{where} ({name})")
