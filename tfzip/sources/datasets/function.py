"""Arrays that a function of the user's returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tfzip.errors import DataError
from tfzip.sandbox import resolve
from tfzip.sources.datasets.dataset import Dataset, Inputs, datasets
from tfzip.sources.user_code import importable_from_here, names_function

_EXPECTED = (
    "Expected x, (x, y), ((x_train, y_train), (x_test, y_test)), or a dict with x and y or x_train, y_train,"
    " x_test, y_test"
)


@datasets.register
@dataclass(frozen=True)
class FunctionDataset(Dataset):
    """`package.module:function`: what the function returns when called without arguments.

    It returns `x`, `(x, y)`, `((x_train, y_train), (x_test, y_test))`, or a dict with these names.

    Args:
        function: Module and function, parted by a colon.
    """

    function: str

    @classmethod
    def from_spec(cls, spec: str) -> Self | None:
        """Claims `package.module:function` unless the part before the colon names another kind of source."""
        is_other = spec.partition(":")[0] in datasets
        return cls(spec) if names_function(spec) and not is_other else None

    def load(self) -> Mapping[str, Inputs]:
        """Calls the function and gives its result names."""
        try:
            with importable_from_here():
                function = resolve(self.function)
        except (ImportError, AttributeError) as error:
            raise DataError(
                f"{self.function} cannot be imported: {error}."
                " Expected package.module:function, importable from the current folder."
            ) from error
        return _named(function(), self.function)


def _named(result: Any, source: str) -> Mapping[str, Inputs]:
    match result:
        case np.ndarray():
            return {"x": result}
        case Mapping():
            return result
        case ((x_train, y_train), (x_test, y_test)):
            return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
        case (x, y):
            return {"x": x, "y": y}
    raise DataError(f"{source} returned {type(result).__name__}. {_EXPECTED}.")
