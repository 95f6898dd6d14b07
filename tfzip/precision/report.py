"""What a sensitivity scan found, as text with bars, as JSON and as a picture."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfzip.errors import OptionError
from tfzip.scan_file import ScanFile
from tfzip.tables import table
from tfzip.units import format_bytes

_BAR_CELLS = 14  # which leaves room for names in 80 columns
_LOWEST_SHARE = 1e-6  # where bars begin, on their logarithmic scale
UNITS = {
    "logits": "squared change of the outputs / their variance",
    "kl": "divergence of the probabilities in nats",
    "loss": "change of the loss",
}


@dataclass(frozen=True)
class SensitivityRow:
    """What one width of one layer's weights does.

    Attributes:
        layer: Path of the layer.
        bits: Width of its weights.
        size_bytes: Bytes of the weights in the file.
        change: Mean change over the samples, in the metric's unit.
        low: Lower end of the 95 % bootstrap interval of the mean.
        high: Upper end.
    """

    layer: str
    bits: int
    size_bytes: int
    change: float
    low: float
    high: float


@dataclass(frozen=True)
class SensitivityReport(ScanFile):
    """Change of the outputs by layer and width, each layer rounded alone.

    Attributes:
        model: Name of the model.
        scheme: Name of the scheme around the widths.
        metric: `"logits"`, `"kl"` or `"loss"`.
        samples: Number of calibration samples.
        seed: Seed of drawn rows and intervals.
        rows: In the model's order, narrow widths first.
    """

    model: str
    scheme: str
    metric: str
    samples: int
    seed: int
    rows: tuple[SensitivityRow, ...]
    kind = "sensitivity report"
    row = SensitivityRow

    def of(self, layer: str, bits: int) -> SensitivityRow:
        """Returns the row of a layer and width.

        Raises:
            OptionError: The layer or width was not scanned.
        """
        for row in self.rows:
            if (row.layer, row.bits) == (layer, bits):
                return row
        raise OptionError(f"The scan has no {bits}-bit row for layer {layer!r}. Scan with bits=(4, 8).")

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers, each once, in the model's order."""
        return tuple(dict.fromkeys(row.layer for row in self.rows))

    def ranked(self, bits: int) -> list[SensitivityRow]:
        """Returns the rows of one width, the most sensitive layer first."""
        return sorted((row for row in self.rows if row.bits == bits), key=lambda row: -row.change)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draws the changes with their intervals to a .png, .svg or .pdf and returns where.

        Raises:
            MissingDependencyError: Matplotlib is not installed: `pip install "tfzip[plot]"`.
            OptionError: The file's ending names no kind of picture.
        """
        from tfzip.precision.plot import plot

        return plot(self, Path(path))

    def __rich__(self) -> object:
        title = f"{self.model}: {UNITS[self.metric]}, {self.samples} samples; bars are logarithmic"
        columns = ("layer", ">bits", ">weights", ">change", "95 % interval", "")
        return table(columns, self._cells(), folding=("layer",), title=title)

    def _cells(self) -> Iterator[tuple[str, ...]]:
        most = max((row.change for row in self.rows if math.isfinite(row.change)), default=0.0)
        for row in self.rows:
            interval = f"{row.low:.2g} to {row.high:.2g}"
            size = format_bytes(row.size_bytes)
            yield row.layer, str(row.bits), size, f"{row.change:.3g}", interval, _bar(row.change, most)


def _bar(change: float, most: float) -> str:
    if change <= 0 or not math.isfinite(change):
        return ""
    share = 1 - math.log(change / most) / math.log(_LOWEST_SHARE)
    return "█" * round(_BAR_CELLS * min(max(share, 0.0), 1.0))
