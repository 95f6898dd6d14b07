"""A step outside of a recipe, as commands run it: from a model file to another."""

import sys
from pathlib import Path
from typing import Any

from tfzip.errors import OptionError
from tfzip.recipe.steps.step import Work
from tfzip.sources.data import DataSplits


def target_of(output: str, model: str) -> Path:
    """Returns the path of a new model, or raises `OptionError` where none can be written.

    Args:
        output: As it was given.
        model: The model that the new one is made from, which stays.
    """
    path = Path(output)
    if path.suffix != ".keras":
        raise OptionError(f"The new model is a .keras file. Received: {output!r}.")
    if not path.absolute().parent.is_dir():
        raise OptionError(f"The folder of {output!r} does not exist.")
    if path.exists() and Path(model).exists() and path.samefile(model):
        raise OptionError(f"{output!r} is the model itself, which stays as it is. Name another file.")
    return path.absolute()


def work_in(folder: Path, model: Path, data: Any, *, unsafe: bool) -> Work:
    """Returns the work of a single step.

    Args:
        folder: Where the step writes.
        model: The model file that it begins with.
        data: Splits, or None for steps that need none.
        unsafe: Whether code inside the model file may run.
    """
    splits: DataSplits = data
    return Work("command", folder, model, splits, (), "command", 0, unsafe, _say)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
