"""The statistics agree with hand computation, printed tables and simulations whose truth is known."""

import statistics as stdlib

import numpy as np
import pytest

from tfzip.bench.statistics import (
    drift_fraction,
    is_steady,
    median_interval,
    outlier_fraction,
    paired_ratio,
    percentiles,
    student_quantile,
)
from tfzip.errors import OptionError


def simulate(rng, *, level=1.0, launches=5, blocks=4, runs=30, drift=0.0):
    """Latencies with a level per launch, AR(1) noise within it (rho 0.9), spikes, and a drift over blocks."""
    data = []
    for _ in range(launches):
        offset, state, taken = rng.normal(0, 0.02), 0.0, []
        for block in range(blocks):
            noise = np.empty(runs)
            for i in range(runs):
                state = 0.9 * state + rng.normal(0, 0.01)
                noise[i] = state
            spikes = rng.exponential(0.5, runs) * (rng.random(runs) < 0.05)
            taken.append(level * np.exp(offset + noise) * (1 + spikes) * (1 + drift * block))
        data.append(taken)
    return data


def test_percentiles_match_values_computed_by_hand():
    # Linear interpolation: rank p * (n - 1) of 1..11, so p50 = 6, p90 = 10, p95 = 10.5, p99.9 = 10.99.
    found = percentiles(np.arange(1.0, 12.0)[::-1])
    wanted = {"min": 1.0, "p50": 6.0, "p90": 10.0, "p95": 10.5, "p99": 10.9, "p999": 10.99, "max": 11.0}
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("freedom", "printed"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_student_quantiles_match_the_printed_table(freedom, printed):
    assert student_quantile(0.95, freedom) == pytest.approx(printed, abs=6e-4)


def test_student_quantiles_match_the_printed_table_at_99_per_cent():
    assert student_quantile(0.99, 4) == pytest.approx(4.604, abs=6e-4)
    assert student_quantile(0.99, 10) == pytest.approx(3.169, abs=6e-4)


@pytest.mark.parametrize("sizes", [(5, 5), (3, 6), (4, 3, 2)])
def test_the_bootstrap_resamples_launches_then_blocks(sizes):
    rng = np.random.default_rng(3)
    launches = [[rng.random(n) + i for n in sizes] for i in range(3)]
    found = median_interval(launches, resamples=200, seed=11)

    medians, draw = [], np.random.default_rng(11)  # the naive way: build each resample and sort it
    for _ in range(200):
        pooled = []
        for chosen in draw.integers(3, size=3):
            for block in draw.integers(len(sizes), size=len(sizes)):
                pooled += list(launches[chosen][block])
        medians.append(stdlib.median(pooled))
    assert found.value == stdlib.median([x for launch in launches for block in launch for x in block])
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(medians, [2.5, 97.5])))


def test_the_interval_of_the_median_is_reproducible_and_covers_the_truth_with_many_launches():
    rng = np.random.default_rng(0)
    data = simulate(rng)
    assert median_interval(data, seed=4) == median_interval(data, seed=4)
    hits = 0
    for _ in range(60):
        found = median_interval([[rng.normal(10, 1, 20) for _ in range(4)] for _ in range(10)], resamples=200)
        hits += found.low <= 10 <= found.high
    assert hits >= 51


def test_identical_files_are_called_different_in_at_most_5_per_cent_of_simulations():
    rng = np.random.default_rng(1)
    trials = 300
    wrong = sum(
        paired_ratio(simulate(rng), simulate(rng), margin=0.0).verdict != "no difference"
        for _ in range(trials)
    )
    assert wrong <= 0.05 * trials


def test_the_margin_lowers_false_alarms_further():
    rng = np.random.default_rng(2)
    verdicts = [paired_ratio(simulate(rng), simulate(rng), margin=0.05).verdict for _ in range(200)]
    assert sum(v != "no difference" for v in verdicts) <= 6


@pytest.mark.parametrize(("factor", "verdict"), [(1.2, "slower"), (1 / 1.2, "faster")])
def test_a_difference_of_a_fifth_is_found(factor, verdict):
    rng = np.random.default_rng(5)
    found = [paired_ratio(simulate(rng), simulate(rng, level=factor)) for _ in range(50)]
    assert sum(f.verdict == verdict for f in found) >= 48
    assert np.exp(np.mean([np.log(f.ratio) for f in found])) == pytest.approx(factor, rel=0.01)


def test_a_linear_drift_cancels_within_abba_rounds():
    def line(slots):  # a machine that gets 10 % slower with each slot
        return [np.full(3, np.exp(0.1 * slot)) for slot in slots]

    a, b = line([0, 3, 4, 7]), line([1, 2, 5, 6])
    found = paired_ratio([a, a, a], [b, b, b])
    assert found.ratio == pytest.approx(1.0)
    assert found.verdict == "no difference"


def test_the_ratio_and_its_interval_match_hand_computation():
    def flat(level):
        return [np.full(5, level), np.full(5, level)]

    # log ratios log 2, log 2.2, log 1.8; half width = 4.3027 * s / sqrt(3)
    base, other = [flat(1.0)] * 3, [flat(2.0), flat(2.2), flat(1.8)]
    found = paired_ratio(base, other, confidence=0.95)
    logs = [np.log(2.0), np.log(2.2), np.log(1.8)]
    half = 4.30265 * stdlib.stdev(logs) / np.sqrt(3)
    centre = stdlib.fmean(logs)
    assert found.ratio == pytest.approx((2.0 * 2.2 * 1.8) ** (1 / 3))
    assert found.low == pytest.approx(np.exp(centre - half), rel=1e-4)
    assert found.high == pytest.approx(np.exp(centre + half), rel=1e-4)
    assert found.verdict == "slower"


def test_a_sure_difference_below_the_margin_is_called_none():
    def flat(level):
        return [np.full(5, level), np.full(5, level)]

    found = paired_ratio([flat(1.0)] * 3, [flat(1.005)] * 3)
    assert found.low > 1.0
    assert found.verdict == "no difference"


def test_one_launch_or_unequal_sides_are_refused():
    blocks = [np.ones(3), np.ones(3)]
    with pytest.raises(OptionError, match="at least 2"):
        paired_ratio([blocks], [blocks])
    with pytest.raises(OptionError, match="3 and 2"):
        paired_ratio([blocks] * 3, [blocks] * 2)
    with pytest.raises(OptionError, match="even number"):
        paired_ratio([blocks[:1]] * 2, [blocks[:1]] * 2)


def test_warm_up_ends_when_three_windows_agree():
    falling = [10 * 0.8**i + 1 for i in range(12)]
    assert not is_steady(falling, 4)
    assert is_steady([*falling, *[1.0] * 12], 4)
    assert not is_steady([1.0] * 11, 4)
    assert is_steady([1.0, 1.019, 1.01], 1)
    assert not is_steady([1.0, 1.03, 1.01], 1)


def test_drift_is_the_relative_change_and_ignores_a_disturbed_block():
    medians = np.linspace(1.0, 1.2, 21)
    assert drift_fraction(medians) == pytest.approx(0.2 / 1.1)
    medians[5] = 50.0
    assert drift_fraction(medians) == pytest.approx(0.2 / 1.1, rel=0.05)
    assert drift_fraction(np.array([1.0])) == 0.0


def test_outliers_are_samples_far_above_the_median():
    assert outlier_fraction(np.array([1.0] * 9 + [1.6])) == pytest.approx(0.1)
    assert outlier_fraction(np.array([1.0] * 9 + [1.4])) == 0.0
