"""What samples of a latency say: percentiles, intervals, paired verdicts, steadiness; pure functions.

Samples come nested as they were taken: launches (fresh processes) of blocks of runs. Neighbouring runs share
a clock frequency and a memory layout, so single runs are not independent; the intervals here treat launches
as the unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError

_WIDEST = 300.0  # of a log ratio's interval, which two launches leave next to unlimited
Samples = NDArray[np.float64]
Launches = Sequence[Sequence[Samples]]
"""Samples of one file: for each launch its blocks, for each block its runs, in milliseconds."""

PERCENTILES = {"min": 0.0, "p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "max": 100.0}


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def percentiles(samples: Samples) -> dict[str, float]:
    """Returns min to max of samples, interpolated linearly, by name and in the samples' unit."""
    values = np.percentile(samples, list(PERCENTILES.values()))
    return {name: float(value) for name, value in zip(PERCENTILES, values, strict=True)}


def median_interval(
    launches: Launches, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Returns the median of all samples with a bootstrap percentile interval.

    Launches are drawn with replacement, then blocks within each drawn launch (Davison and Hinkley 1997,
    section 3.8), since a bootstrap of single runs takes correlated runs for independent ones and is far too
    narrow.

    Args:
        launches: Samples nested as launches of blocks.
        confidence: Coverage aimed at. Defaults to 0.95.
        resamples: Number of bootstrap samples. Defaults to 1000.
        seed: Seed of the draw. Defaults to 0.

    Returns:
        The median and its interval, in the samples' unit.
    """
    blocks = [block for launch in launches for block in launch]
    owner = np.repeat(np.arange(len(blocks)), [block.size for block in blocks])
    values = np.concatenate(blocks)
    order = np.argsort(values)
    values, owner = values[order], owner[order]
    rng = np.random.default_rng(seed)
    medians = np.empty(resamples)
    for index in range(resamples):
        times_drawn = np.bincount(_drawn_blocks(launches, rng), minlength=len(blocks))
        ranks = np.cumsum(times_drawn[owner])
        lower, upper = np.searchsorted(ranks, [(ranks[-1] + 1) // 2, ranks[-1] // 2 + 1])
        medians[index] = (values[lower] + values[upper]) / 2
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(medians, [tail, 100.0 - tail])
    return Interval(float(np.median(values)), float(low), float(high))


def _drawn_blocks(launches: Launches, rng: np.random.Generator) -> NDArray[np.int64]:
    sizes = np.array([len(launch) for launch in launches])
    firsts = np.cumsum(sizes) - sizes
    drawn = rng.integers(len(launches), size=len(launches))
    return np.concatenate([firsts[d] + rng.integers(sizes[d], size=sizes[d]) for d in drawn])


@dataclass(frozen=True)
class PairedRatio:
    """How the latency of a file relates to the latency of another one measured in turns with it.

    Attributes:
        ratio: Latency over the baseline's latency.
        low: Lower end of the ratio's interval.
        high: Upper end of the ratio's interval.
        verdict: `"faster"`, `"slower"` or `"no difference"`.
    """

    ratio: float
    low: float
    high: float
    verdict: str


def paired_ratio(
    baseline: Launches, other: Launches, *, confidence: float = 0.99, margin: float = 0.01
) -> PairedRatio:
    """Compares two files from launches in which their blocks took turns.

    Blocks come as rounds A B B A, so a linear drift cancels within each round. A launch gives one number, the
    median over its rounds of the difference of mean log block medians; the interval is Student's t over
    launches (Georges, Buytaert and Eeckhout, "Statistically rigorous Java performance evaluation", OOPSLA
    2007; Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013: replicate at the highest
    level that varies). It therefore does not depend on how strongly neighbouring runs correlate.

    Args:
        baseline: Samples of the baseline, an even number of blocks in each launch.
        other: Samples of the other file, as many launches and blocks.
        confidence: Confidence of the interval. Defaults to 0.99.
        margin: Differences below this fraction are called none, because the layout of memory alone moves a
            latency that much (Mytkowicz et al., "Producing wrong data without doing anything obviously
            wrong", ASPLOS 2009). Defaults to 0.01.

    Returns:
        The ratio other / baseline with its interval and verdict. A verdict other than "no difference" needs
        an interval without 1 and a ratio outside the margin.

    Raises:
        OptionError: Fewer than two launches, or launches that do not match.
    """
    if len(baseline) < 2 or len(baseline) != len(other):
        raise OptionError(
            "A paired verdict needs the same number of launches, at least 2, on both sides. "
            f"Received: {len(baseline)} and {len(other)}. Raise launches."
        )
    logs = np.array([_log_ratio(a, b) for a, b in zip(baseline, other, strict=True)])
    spread = float(logs.std(ddof=1)) / math.sqrt(logs.size)
    half = min(student_quantile(confidence, logs.size - 1) * spread, _WIDEST)
    centre = float(logs.mean())
    ratio, low, high = math.exp(centre), math.exp(centre - half), math.exp(centre + half)
    verdict = "no difference"
    if low > 1.0 and ratio >= 1.0 + margin:
        verdict = "slower"
    if high < 1.0 and ratio <= 1.0 - margin:
        verdict = "faster"
    return PairedRatio(ratio, low, high, verdict)


def _log_ratio(baseline: Sequence[Samples], other: Sequence[Samples]) -> float:
    if len(baseline) != len(other) or len(baseline) % 2:
        raise OptionError(
            "A paired verdict needs the same even number of blocks on both sides of a launch. "
            f"Received: {len(baseline)} and {len(other)}."
        )
    differences = block_medians(other, log=True) - block_medians(baseline, log=True)
    return float(np.median(differences.reshape(-1, 2).mean(axis=1)))


def block_medians(blocks: Sequence[Samples], *, log: bool = False) -> Samples:
    """Returns the median of each block, or its logarithm."""
    medians = np.array([np.median(block) for block in blocks])
    return np.log(medians) if log else medians


def student_quantile(confidence: float, freedom: int) -> float:
    """Returns t with P(|T| <= t) = confidence, for Student's t with `freedom` degrees of freedom.

    Inverts the closed form for whole degrees of freedom (Abramowitz and Stegun 1964, equations 26.7.3 and
    26.7.4) by bisection on the angle theta = atan(t / sqrt(freedom)).
    """
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if _student_within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2) * math.sqrt(freedom)


def _student_within(theta: float, freedom: int) -> float:
    """Returns P(|T| <= sqrt(freedom) * tan(theta))."""
    odd = freedom % 2
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(theta) ** 2 * k / (k + 1)
    total *= math.sin(theta)
    return 2 / math.pi * (theta + total) if odd else total


def is_steady(samples: Sequence[float] | Samples, window: int, *, tolerance: float = 0.02) -> bool:
    """Tells whether warm-up is over: the medians of the last three windows differ by at most `tolerance`.

    Args:
        samples: Latencies in the order in which they were taken.
        window: Runs in a window.
        tolerance: Largest allowed (max - min) / min of the three medians. Defaults to 0.02.
    """
    if len(samples) < 3 * window:
        return False
    medians = np.median(np.asarray(samples[-3 * window :]).reshape(3, window), axis=1)
    return bool(medians.max() - medians.min() <= tolerance * medians.min())


def drift_fraction(medians: Samples) -> float:
    """Returns the change over a series of block medians, as a fraction of its median.

    Uses the slope of Theil (1950) and Sen (1968), the median of the slopes between all pairs, which a few
    disturbed blocks do not move.
    """
    first, second = np.triu_indices(len(medians), k=1)
    if first.size == 0:
        return 0.0
    slope = np.median((medians[second] - medians[first]) / (second - first))
    return float(slope * (len(medians) - 1) / np.median(medians))


def outlier_fraction(samples: Samples, *, factor: float = 1.5) -> float:
    """Returns the fraction of samples above `factor` times the median."""
    return float(np.mean(samples > factor * np.median(samples)))
