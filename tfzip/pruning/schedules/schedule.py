"""The base of all schedules and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tfzip.errors import OptionError
from tfzip.registry import Registry


@dataclass(frozen=True)
class Schedule(ABC):
    """How sparsity grows while training: a function from progress to sparsity.

    A schedule knows neither steps nor epochs; `PruningWindow` says where progress begins and ends. It never
    falls, and at progress 1 it is exactly `sparsity`.

    Args:
        sparsity: The share of zeros at the end, in [0, 1). Defaults to 0.5.
    """

    sparsity: float = 0.5

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Returns the sparsity due at a point of the window.

        Args:
            progress: How much of the window has passed, in [0, 1].

        Returns:
            A fraction in [0, 1).
        """


schedules: Registry[Schedule] = Registry("Schedule")


def check_fraction(field: str, value: float) -> None:
    """Raises `OptionError` unless a value lies in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise OptionError(
            f"{field} is the share of weights that are zero, a fraction in [0, 1), such as 0.6 for 60 %."
            f" Received: {value!r}."
        )


def check_ramp(initial: float, sparsity: float) -> None:
    """Raises `OptionError` unless a ramp from `initial` to `sparsity` rises."""
    check_fraction("initial", initial)
    if initial > sparsity:
        raise OptionError(
            f"A schedule never falls, so initial must not exceed sparsity={sparsity!r}."
            f" Received: {initial!r}."
        )


def ramp(initial: float, sparsity: float, remaining: float) -> float:
    """Returns `sparsity - (sparsity - initial) * remaining`.

    In this order of operations the floating-point result is exactly `sparsity` where nothing remains, and
    never falls while `remaining` does.

    Args:
        initial: The share of zeros where all of the way remains.
        sparsity: The share of zeros where none of it remains.
        remaining: How much of the way is left, in [0, 1].
    """
    return sparsity - (sparsity - initial) * remaining
