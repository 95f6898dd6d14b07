"""What a recipe is: a model, data, and steps in order."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfzip.errors import OptionError
from tfzip.recipe.steps import Step, steps


@dataclass(frozen=True)
class DataOptions:
    """The `[data]` table: what to load and how.

    Args:
        source: What `load_data` takes: a path, `keras:NAME`, `sklearn:digits`, `package.module:function`.
        val_fraction: Part of the training rows to validate on. Defaults to 0.1.
        divide_by: What every input is divided by. Defaults to 1.
    """

    source: str
    val_fraction: float = 0.1
    divide_by: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.val_fraction < 1.0:
            raise OptionError(f"val_fraction is in [0, 1). Received: {self.val_fraction}.")
        if self.divide_by == 0:
            raise OptionError("divide_by is not 0.")


@dataclass(frozen=True)
class Recipe:
    """A checked recipe: everything that decides the result of a run.

    Attributes:
        name: Name of the run and of its files.
        model: What `load_model` takes, with variables and relative paths resolved.
        data: What to load.
        steps: What to do, in order.
        seed: Seed of everything random. Defaults to 0.
        path: The file it came from.
    """

    name: str
    model: str
    data: DataOptions
    steps: tuple[Step, ...]
    seed: int = 0
    path: Path = Path()

    def resolved(self) -> dict[str, Any]:
        """Returns the recipe with every default filled in, ready for JSON."""
        return {
            "name": self.name,
            "seed": self.seed,
            "model": self.model,
            "data": dataclasses.asdict(self.data),
            "steps": [config_of(step) for step in self.steps],
        }


def config_of(step: Step) -> dict[str, Any]:
    """Returns a step as a table: its name under `step`, and every field."""
    return {"step": steps.name_of(step)} | {
        field.name: _plain(getattr(step, field.name))
        for field in dataclasses.fields(step)  # type: ignore[arg-type]
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
