"""Whether runs keep a deadline: for control loops, driving, audio."""

import math
from dataclasses import dataclass

import numpy as np

from tfzip.bench.statistics import Samples
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
        worst_ms: The longest run.
        verdict: `"met"` when no run missed it, else `"missed"`.
    """

    file: str
    threads: int
    deadline_ms: float
    runs: int
    missed: int
    miss_rate_high: float
    worst_ms: float
    verdict: str

    def __str__(self) -> str:
        how = "in all" if not self.missed else f"by {self.missed:,} of"
        return (
            f"{self.file}: the deadline of {format_ms(self.deadline_ms)} was {self.verdict} {how}"
            f" {self.runs:,} runs, the longest {format_ms(self.worst_ms)}; at most"
            f" {format_fraction(self.miss_rate_high)} of runs miss it (95 % confidence)."
        )


def deadline_verdict(file: str, threads: int, samples: Samples, deadline_ms: float) -> DeadlineVerdict:
    """Returns the verdict on samples in milliseconds, shape (runs,)."""
    missed = int((samples > deadline_ms).sum())
    return DeadlineVerdict(
        file,
        threads,
        deadline_ms,
        samples.size,
        missed,
        highest_rate(missed, samples.size),
        float(samples.max()),
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
