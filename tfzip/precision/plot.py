"""A picture of a sensitivity scan."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzip.picture import drawn

if TYPE_CHECKING:
    from tfzip.precision.report import SensitivityReport

_ROW_INCHES = 0.32
_LINEAR_BELOW = 1e-6  # around 0, where changes of the loss may lie
_COLOURS = {4: "#b3423a", 8: "#3a6ea5"}


def plot(report: "SensitivityReport", path: Path) -> Path:
    """Draws a bar for each layer and width on a logarithmic axis, with the 95 % intervals.

    Args:
        report: What to draw.
        path: Where to; the ending is the format.

    Returns:
        The path.
    """
    inches = (8, 1.5 + _ROW_INCHES * len(report.layers))
    return drawn(path, inches, lambda axes: _draw(report, axes))


def _draw(report: "SensitivityReport", axes: Any) -> None:
    from tfzip.precision.report import UNITS

    layers = report.layers
    widths = sorted({row.bits for row in report.rows})
    for place, bits in enumerate(widths):
        rows = [report.of(layer, bits) for layer in layers]
        heights = [index + (place - (len(widths) - 1) / 2) * 0.4 for index in range(len(layers))]
        changes = [row.change for row in rows]
        reach = ([max(r.change - r.low, 0.0) for r in rows], [max(r.high - r.change, 0.0) for r in rows])
        axes.barh(heights, changes, 0.38, xerr=reach, color=_COLOURS[bits], label=f"{bits} bits")
    if all(row.low > 0 for row in report.rows):
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=_LINEAR_BELOW)
    axes.set_yticks(range(len(layers)), layers)
    axes.invert_yaxis()
    axes.set_xlabel(UNITS[report.metric])
    axes.set_title(f"Sensitivity of {report.model}, {report.samples} samples")
    axes.legend()
