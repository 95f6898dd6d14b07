"""What a scan of channels found, as text with bars, as JSON and as a picture."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfzip.errors import OptionError
from tfzip.picture import drawn
from tfzip.scan_file import ScanFile
from tfzip.tables import table

_BAR_CELLS = 14
_PANEL_INCHES = (8.0, 5.0)
LOSS = "loss"


@dataclass(frozen=True)
class ChannelScanRow:
    """What a model is worth without some channels of one group.

    Attributes:
        group: Name of the group.
        size: Its channels.
        removed: How many of them are zero, those with the smallest L1 norms.
        values: `loss`, and whatever else the model was compiled to measure, such as `accuracy`.
    """

    group: str
    size: int
    removed: int
    values: dict[str, float]

    @property
    def ratio(self) -> float:
        """Share of the group that is zero."""
        return self.removed / self.size


@dataclass(frozen=True)
class ChannelScan(ScanFile):
    """Loss and metrics by group and ratio, each group pruned alone.

    Attributes:
        model: Name of the model.
        samples: Number of rows that it was measured on.
        before: Loss and metrics of the model as it is.
        rows: In the model's order, small ratios first.
    """

    model: str
    samples: int
    before: dict[str, float]
    rows: tuple[ChannelScanRow, ...]
    kind = "scan of channels"
    row = ChannelScanRow

    def __post_init__(self) -> None:
        if not all(LOSS in values for values in (self.before, *(row.values for row in self.rows))):
            raise ValueError("it has no loss")

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, each once, in the model's order."""
        return tuple(dict.fromkeys(row.group for row in self.rows))

    def of(self, group: str, size: int) -> tuple[ChannelScanRow, ...]:
        """Returns the rows of a group.

        Raises:
            OptionError: The group was not scanned, or had another number of channels.
        """
        found = tuple(row for row in self.rows if (row.group, row.size) == (group, size))
        if not found:
            raise OptionError(
                f"The scan of model {self.model!r} has no group {group!r} of {size} channels. Scan the model"
                " as it is now: tfzip sensitivity --prune."
            )
        return found

    def rise(self, group: str, size: int, removed: int) -> float:
        """Returns how much the loss rises without channels of a group, read between the ratios measured."""
        rows = self.of(group, size)
        rises = [0.0, *(row.values[LOSS] - self.before[LOSS] for row in rows)]
        return float(np.interp(removed, [0, *(row.removed for row in rows)], rises))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ChannelScan":
        """Returns the scan that `save` wrote.

        Raises:
            OptionError: There is no such file, or it is no such scan.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"{os.fspath(path)} is no scan that can be read: {error}.") from error

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draws a line for each group, of the accuracy, or the loss without one, against the ratio.

        Raises:
            MissingDependencyError: Matplotlib is not installed: `pip install "tfzip[plot]"`.
            OptionError: The file's ending names no kind of picture.
        """
        return drawn(Path(path), _PANEL_INCHES, self._draw)

    @property
    def shown(self) -> str:
        """What tables and pictures show: the first metric, or the loss where there is none."""
        return next((name for name in self.before if name != LOSS), LOSS)

    def _draw(self, axes: Any) -> None:
        for group in self.groups:
            rows = [row for row in self.rows if row.group == group]
            ratios, values = [0.0, *(row.ratio for row in rows)], [row.values[self.shown] for row in rows]
            axes.plot(ratios, [self.before[self.shown], *values], marker=".", label=group)
        axes.set_xlabel("share of the group's channels that is zero")
        axes.set_ylabel(self.shown)
        axes.set_title(f"Channels of {self.model}, {self.samples} samples")
        axes.legend(fontsize="x-small")

    def __rich__(self) -> object:
        name = self.shown
        title = f"{self.model}: {name} without channels of one group, {self.samples} samples"
        title += f"; with all of them {self.before[name]:.4g}"
        columns = ("group", ">channels", ">removed", f">{name}", "")
        return table(columns, self._cells(), folding=("group",), title=title)

    def _cells(self) -> Iterator[tuple[str, ...]]:
        name = self.shown
        changes = [abs(row.values[name] - self.before[name]) for row in self.rows]
        most = max((one for one in changes if np.isfinite(one)), default=0.0)
        for row, change in zip(self.rows, changes, strict=True):
            cells = round(_BAR_CELLS * change / most) if most > 0 and np.isfinite(change) else 0
            yield row.group, str(row.size), str(row.removed), f"{row.values[name]:.4g}", "█" * cells
