"""When pruning begins and ends, and how often masks change."""

from dataclasses import dataclass
from typing import Any

from tfzip.errors import OptionError, did_you_mean
from tfzip.given import is_number

_UNITS = ("epochs", "steps")
_DEFAULT_END = 0.75
_MOST_STEPS_BETWEEN = 100
_FEWEST_UPDATES = 10


@dataclass(frozen=True)
class UpdateGrid:
    """The moments at which masks change, in ticks: batches, or epochs where no one knows the batches.

    Attributes:
        begin: First tick of the window.
        end: Tick at which the schedule reaches its target.
        every: Ticks between updates.
        per_epoch: Whether a tick is an epoch.
    """

    begin: float
    end: float
    every: int
    per_epoch: bool

    def progress(self, tick: int) -> float | None:
        """Returns the progress at the last update up to `tick`, in [0, 1], or None before the window.

        A grid of epochs looks one epoch ahead, so that the last epoch trains with the final mask.
        """
        if tick < self.begin:
            return None
        if tick >= self.end:
            return 1.0
        passed = (tick - self.begin) // self.every * self.every + (1 if self.per_epoch else 0)
        return min(1.0, passed / (self.end - self.begin))

    def next_update(self, tick: int) -> float:
        """Returns the first tick after `tick` at which masks change, or infinity."""
        if tick < self.begin:
            return self.begin
        if tick >= self.end:
            return float("inf")
        return min(self.end, tick - (tick - self.begin) % self.every + self.every)


@dataclass(frozen=True)
class PruningWindow:
    """The part of a fit in which sparsity grows, and how often masks change in it.

    Training should go on for a while after the end of the window, so that the weights that stay make up for
    those that left (Zhu and Gupta 2017, section 3). The same paper finds updates every 100 to 1000 steps
    enough.

    Args:
        begin: Where the schedule starts, in `unit`, counted from the fit's first step. Defaults to 0.0.
        end: Where it reaches its target, in `unit`. Defaults to three quarters of the fit.
        unit: `"epochs"` (fractions allowed) or `"steps"` (batches). Defaults to `"epochs"`.
        every: Steps between mask updates. Defaults to 100, or to a tenth of the window where that is less.

    Raises:
        OptionError: A field is out of range.

    Example:
        >>> PruningWindow(begin=500, end=4000, unit="steps", every=200)
    """

    begin: float = 0.0
    end: float | None = None
    unit: str = "epochs"
    every: int | None = None

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            raise OptionError(
                f"A window counts in 'epochs' or 'steps'. Received: unit={self.unit!r}."
                f"{did_you_mean(self.unit, _UNITS)}"
            )
        numbers = [self.begin, *([] if self.end is None else [self.end])]
        if not all(is_number(one) for one in numbers) or not (0 <= numbers[0] <= numbers[-1]):
            raise OptionError(
                f"A window needs 0 <= begin <= end. Received: begin={self.begin!r}, end={self.end!r}."
            )
        if self.every is not None and (not isinstance(self.every, int) or self.every < 1):
            raise OptionError(f"every counts steps, at least 1. Received: {self.every!r}.")

    def grid(self, epochs: int, steps_per_epoch: int | None) -> UpdateGrid:
        """Returns the moments of update in a fit.

        Args:
            epochs: The fit's last epoch.
            steps_per_epoch: Batches per epoch, or None where the data does not tell its length.

        Raises:
            OptionError: The window needs the number of steps per epoch and the fit does not know it, or it
                begins after its default end.
        """
        if steps_per_epoch is None and self.unit == "epochs":
            return self._grid_of_epochs(epochs)
        scale = steps_per_epoch if steps_per_epoch is not None and self.unit == "epochs" else 1
        first = round(self.begin * scale)
        if self.end is not None:
            last = round(self.end * scale)
        elif steps_per_epoch is not None:
            last = self._checked_end(first, round(_DEFAULT_END * epochs * steps_per_epoch))
        else:
            raise OptionError(
                "The window's end cannot default to a part of the fit, since the data does not tell how many"
                " steps an epoch has. Give the window an end, or pass steps_per_epoch to fit."
            )
        every = self.every or max(1, min(_MOST_STEPS_BETWEEN, (last - first) // _FEWEST_UPDATES))
        return UpdateGrid(first, last, every, per_epoch=False)

    def _grid_of_epochs(self, epochs: int) -> UpdateGrid:
        if self.every is not None:
            raise OptionError(
                f"every={self.every} counts steps, but the data does not tell how many an epoch has, so masks"
                " change once per epoch. Leave every out, or pass steps_per_epoch to fit."
            )
        end = self._checked_end(self.begin, _DEFAULT_END * epochs) if self.end is None else self.end
        return UpdateGrid(self.begin, end, 1, per_epoch=True)

    def _checked_end(self, begin: float, end: float) -> Any:
        if begin > end:
            raise OptionError(
                f"The window begins at {self.begin:g} {self.unit}, after three quarters of the fit, where it"
                " ends by default. Give it an end."
            )
        return end
