"""Whether runs keep a deadline: for control loops, driving, audio."""

import math
from dataclasses import dataclass

import numpy as np

from tfzip.bench.statistics import Samples, percentiles
from tfzip.units import format_fraction, format_ms

_CONFIDENCE = 0.95
_STEPS = 60


@dataclass(frozen=True)
class DeadlineVerdict:
    """How the runs of a file stand to a deadline.

    Attributes:
        file: Path of the file.
        threads: Threads for the kernels.
        deadline_ms: What a run may take.
        runs: How many were timed.
        missed: How many took longer.
        miss_rate_high: Upper end of the share of runs that miss it, with 95 % confidence (Clopper and Pearson
            1934), if runs were independent. Without a miss it is about 3 over the runs.
        p99_ms: 99 % of runs took at most this long.
        p999_ms: 99.9 % of runs took at most this long; with fewer than 1,000 runs close to the longest.
        worst_ms: The longest run.
        jitter_ms: The longest run less the shortest.
        verdict: `"met"` when no run missed it, else `"missed"`.
    """

    file: str
    threads: int
    deadline_ms: float
    runs: int
    missed: int
    miss_rate_high: float
    p99_ms: float
    p999_ms: float
    worst_ms: float
    jitter_ms: float
    verdict: str

    def __str__(self) -> str:
        how = "in all" if not self.missed else f"by {self.missed:,} of"
        return (
            f"{self.file}: the deadline of {format_ms(self.deadline_ms)} was {self.verdict} {how}"
            f" {self.runs:,} runs: p99 {format_ms(self.p99_ms)}, p99.9 {format_ms(self.p999_ms)}, the longest"
            f" {format_ms(self.worst_ms)}, jitter {format_ms(self.jitter_ms)}; at most"
            f" {format_fraction(self.miss_rate_high)} of runs miss it (95 % confidence)."
        )


def deadline_verdict(file: str, threads: int, samples: Samples, deadline_ms: float) -> DeadlineVerdict:
    """Returns the verdict on samples in milliseconds, shape (runs,)."""
    missed, at = int((samples > deadline_ms).sum()), percentiles(samples)
    return DeadlineVerdict(
        file,
        threads,
        deadline_ms,
        samples.size,
        missed,
        highest_rate(missed, samples.size),
        at["p99"],
        at["p999"],
        at["max"],
        at["max"] - at["min"],
        "missed" if missed else "met",
    )


def highest_rate(events: int, trials: int, confidence: float = _CONFIDENCE) -> float:
    """Returns the largest rate with which so few events in so many independent trials are not yet unlikely.

    The one-sided upper limit of Clopper and Pearson (1934), by bisection.
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_most(events, trials, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """Returns the probability of at most so many events."""
    counts = np.arange(events + 1)
    choose = np.array(
        [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts]
    )
    return float(np.exp(choose + counts * math.log(rate) + (trials - counts) * math.log1p(-rate)).sum())
