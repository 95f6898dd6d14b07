"""Which launches count: those that neither drifted nor were throttled."""

from collections.abc import Mapping, Sequence

from tfzip.bench.statistics import Samples, block_medians, drift_fraction

MAX_DRIFT = 0.05


def flaw_of(blocks: Sequence[Samples], *, throttled: bool) -> str:
    """Returns why a launch does not count, or an empty text when it does.

    Args:
        blocks: Its blocks of runs, in milliseconds.
        throttled: Whether its clock fell.
    """
    if throttled:
        return "its clock fell"
    drift = drift_fraction(block_medians(blocks))
    return f"drifted by {drift:+.0%}" if abs(drift) > MAX_DRIFT else ""


def lacking(flaws: Sequence[Mapping[int, str]], wanted: int) -> list[int]:
    """Returns the files that need another launch, the baseline with them, since only turns are paired.

    Args:
        flaws: For each file the flaws of its launches, by their number; the first file is the baseline.
        wanted: Launches of a file without a flaw, at the same time as such ones of the baseline.
    """
    good = [{number for number, flaw in one.items() if not flaw} for one in flaws]
    short = [place for place, numbers in enumerate(good) if len(numbers & good[0]) < wanted]
    return sorted({0, *short}) if short else []
