"""The sole door to Matplotlib: a picture of a sensitivity scan."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tfzip.bench.report import check_target
from tfzip.errors import MissingDependencyError, OptionError
from tfzip.files import written_beside

if TYPE_CHECKING:
    from tfzip.precision.report import SensitivityReport

_FORMATS = ("png", "svg", "pdf")
_ROW_INCHES = 0.32
_LINEAR_BELOW = 1e-6  # around 0, where changes of the loss may lie
_COLOURS = {4: "#b3423a", 8: "#3a6ea5"}


def check_picture(path: str | Path) -> str:
    """Returns the format that a path ends in, once it is sure that it can be drawn and written.

    Raises:
        OptionError: The ending names no format, or the folder does not exist.
        MissingDependencyError: Matplotlib is not installed.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        raise OptionError(
            f"A plot ends in {', '.join('.' + name for name in _FORMATS)}. Received: {str(path)!r}."
        )
    check_target(path)
    if find_spec("matplotlib") is None:
        raise MissingDependencyError('Plots need Matplotlib. Install it: pip install "tfzip[plot]".')
    return kind


def plot(report: "SensitivityReport", path: Path) -> Path:
    """Draws a bar for each layer and width on a logarithmic axis, with the 95 % intervals.

    Args:
        report: What to draw.
        path: Where to; the ending is the format.

    Returns:
        The path.
    """
    kind = check_picture(path)
    from matplotlib.figure import Figure

    from tfzip.precision.report import UNITS

    layers = report.layers
    figure = Figure(figsize=(8, 1.5 + _ROW_INCHES * len(layers)), layout="constrained")
    axes = figure.subplots()
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
    with written_beside(path) as partial:
        figure.savefig(partial, format=kind)
    return path
