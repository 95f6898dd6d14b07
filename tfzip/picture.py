"""The sole door to Matplotlib: where pictures go, and how they get there whole."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tfzip.errors import MissingDependencyError, OptionError
from tfzip.files import check_target, written_beside

_FORMATS = ("png", "svg", "pdf")


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


def drawn(path: Path, inches: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    """Writes a picture and returns its path.

    Args:
        path: Where to; the ending is the format.
        inches: Width and height.
        draw: Draws on Matplotlib's axes.
    """
    kind = check_picture(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    draw(figure.subplots())
    with written_beside(path) as partial:
        figure.savefig(partial, format=kind)
    return path
