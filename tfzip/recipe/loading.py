"""From a TOML file to a checked recipe."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfzip.errors import RecipeError, TfzipError, UnknownNameError, did_you_mean
from tfzip.recipe.checking import build
from tfzip.recipe.recipe import DataOptions, Recipe
from tfzip.recipe.steps import Step, steps
from tfzip.sources.data import resolve_data
from tfzip.sources.datasets.keras import data_folder

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")


@dataclass(frozen=True)
class _Top:
    """The top level of a recipe file; tables are checked on their own."""

    model: str
    name: str = ""
    seed: int = 0


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Loads a recipe and checks every name and type in it.

    `$NAME` in the model and the data source is an environment variable; `$TFZIP_DATA` has a default. Relative
    paths are relative to the folder of the recipe.

    Args:
        path: The TOML file: `name`, `seed`, `model`, a `[data]` table, and a `[[steps]]` table for each step.

    Raises:
        RecipeError: The file is missing, is not TOML, or says something that is not known; the message has
            the file, the step, the field, the near name, what was expected and what was received.
    """
    file = Path(path)
    tables = _read(file)
    data, listed = tables.pop("data", None), tables.pop("steps", None)
    for name in tables:
        if name not in ("name", "seed", "model"):
            near = did_you_mean(name, ["name", "seed", "model", "data", "steps"])
            raise RecipeError(
                f"{file}: unknown name {name!r}.{near} Expected name, seed, model, data, steps."
            )
    top = build(_Top, tables, str(file))
    name = top.name or file.stem
    if not _NAME.fullmatch(name):
        raise RecipeError(
            f"{file}: name {name!r} has characters that a file name may not have. Use a-z, 0-9, _ and -."
        )
    if top.seed < 0:
        raise RecipeError(f"{file}: field 'seed': expected 0 or more, received {top.seed}.")
    return Recipe(
        name=name,
        model=_place(top.model, file),
        data=_data(data, file),
        steps=_steps(listed, file),
        seed=top.seed,
        path=file,
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        others = [entry.name for entry in file.parent.glob("*.toml")]
        raise RecipeError(
            f"There is no recipe {file}.{did_you_mean(file.name, others)} Check the path."
        ) from None
    except OSError as error:
        raise RecipeError(
            f"{file} cannot be read: {error.strerror or error}. Expected a TOML file."
        ) from error
    except UnicodeDecodeError:
        raise RecipeError(f"{file} is not text in UTF-8. Expected a TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{file} is not valid TOML: {error}.") from error


def _data(table: Any, file: Path) -> DataOptions:
    if isinstance(table, str):
        table = {"source": table}
    if not isinstance(table, Mapping):
        raise RecipeError(
            f"{file}: field 'data': expected a string or a [data] table with a source, received {table!r}."
        )
    options = build(DataOptions, table, f"{file}: [data]")
    source = _place(options.source, file)
    try:
        resolve_data(source)
    except TfzipError as error:
        raise RecipeError(f"{file}: [data], field 'source': {error}") from error
    return DataOptions(source, options.val_fraction, options.divide_by)


def _steps(listed: Any, file: Path) -> tuple[Step, ...]:
    if not isinstance(listed, list) or not listed:
        raise RecipeError(f"{file}: expected at least one [[steps]] table, received {listed!r}.")
    found = tuple(_step(table, f"{file}: step {number}") for number, table in enumerate(listed, 1))
    has_file = False
    for number, step in enumerate(found, 1):
        if step.needs_file and not has_file:
            raise RecipeError(
                f"{file}: step {number} ({steps.name_of(step)}) works on an exported file, and no step"
                ' before it exports one. Put a step = "export" before it.'
            )
        has_file = has_file or step.exports
    return found


def _step(table: Any, where: str) -> Step:
    if not isinstance(table, dict) or not isinstance(table.get("step"), str):
        raise RecipeError(
            f"{where}: expected a table with step = one of {', '.join(steps)}. Received: {table!r}."
        )
    fields = dict(table)
    name = fields.pop("step")
    try:
        cls = steps.type_of(name)
    except UnknownNameError as error:
        raise RecipeError(f"{where}, field 'step': {error}") from error
    return build(cls, fields, f"{where} ({name})")


def _place(text: str, file: Path) -> str:
    """Fills in environment variables and makes a relative path one from the current folder."""

    def value(match: re.Match[str]) -> str:
        name = match[1].strip("{}")
        if name == "TFZIP_DATA":
            return str(data_folder())
        if name not in os.environ:
            raise RecipeError(f"{file}: the environment variable {name} in {text!r} is not set.")
        return os.environ[name]

    filled = _VARIABLE.sub(value, text)
    names_a_set_or_function = ":" in filled
    return filled if names_a_set_or_function else str(file.parent / Path(filled).expanduser())
