"""Whether what was given is a number, also one of NumPy."""

from math import isfinite
from numbers import Integral, Real
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number."""
    return type(value) is not bool and isinstance(value, Real) and isfinite(value)


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number of at least `least`."""
    return type(value) is not bool and isinstance(value, Integral) and int(value) >= least
