"""Ranges against naive loops and worked examples."""

import math

import numpy as np
import pytest

from tfzip.errors import DataError, OptionError
from tfzip.quantization.observers import (
    EntropyObserver,
    MovingAverageObserver,
    MseObserver,
    PercentileObserver,
    TensorStatistics,
    observers,
)
from tfzip.schemes import TensorFormat

ASYMMETRIC, SYMMETRIC = TensorFormat("int", 8, symmetric=False), TensorFormat("int", 16)
FOUR_BITS = TensorFormat("int", 4, symmetric=False)
every_observer = pytest.mark.parametrize(
    "observer", [observers.get(name) for name in observers], ids=list(observers)
)


def seen(*batches):
    statistics = TensorStatistics()
    for batch in batches:
        statistics.add(np.asarray(batch, np.float32))
    return statistics


def rounding_error(values, low, high, levels):
    """Squared error of each value on a grid, one value at a time."""
    step, total = (high - low) / (levels - 1), 0.0
    for value in values:
        level = round((min(max(value, low), high) - low) / step)
        total += (low + level * step - value) ** 2
    return total


def test_statistics_keep_the_extremes_of_each_batch_in_order():
    statistics = seen([[1.0, -2.0]], [[5.0, 3.0]])
    assert (statistics.minima, statistics.maxima) == ([-2.0, 3.0], [1.0, 5.0])
    assert (statistics.low, statistics.high) == (-2.0, 5.0)


def test_extremes_always_reach_zero():
    assert (seen([3.0, 4.0]).low, seen([-3.0, -4.0]).high) == (0.0, 0.0)


def test_a_histogram_that_grew_equals_one_that_was_wide_from_the_start():
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=5000) * 0.01, rng.normal(size=5000) * 7
    grown, wide = seen(small, large), seen(large, small)
    assert grown.limit == wide.limit
    np.testing.assert_array_equal(grown.counts, wide.counts)
    assert grown.counts.sum() == 10_000


def test_a_histogram_counts_what_a_loop_counts():
    values = np.random.default_rng(1).normal(size=2000).astype(np.float32)
    statistics, edges = seen(values), seen(values).edges
    for bin_ in np.flatnonzero(statistics.counts):
        inside = sum(edges[bin_] <= value < edges[bin_ + 1] for value in values)
        assert statistics.counts[bin_] == inside


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_statistics(bad):
    with pytest.raises(DataError, match="NaN or infinity"):
        seen([0.0, bad])


@every_observer
@pytest.mark.parametrize("form", [ASYMMETRIC, SYMMETRIC, FOUR_BITS], ids=["8", "16", "4"])
@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0, 3.0], [-2.0, -1.0], [-1.0, 4.0], [1e-30]], ids=str)
def test_a_range_contains_zero_and_is_not_empty(observer, form, values):
    low, high = observer.range(seen(values), form)
    assert low <= 0 <= high
    assert math.isfinite(high - low)
    assert high - low > 0
    assert not form.symmetric or low == -high


def test_min_max_covers_all():
    assert observers.get("min_max").range(seen([-1.0, 0.5], [2.0]), ASYMMETRIC) == (-1.0, 2.0)
    assert observers.get("min_max").range(seen([-1.0, 0.5], [2.0]), SYMMETRIC) == (-2.0, 2.0)


def test_a_moving_average_weighs_the_past_by_its_momentum():
    low, high = MovingAverageObserver(momentum=0.9).range(
        seen([-1.0, 1.0], [-2.0, 3.0], [0.0, 5.0]), ASYMMETRIC
    )
    assert low == pytest.approx(0.9 * (0.9 * -1 + 0.1 * -2))
    assert high == pytest.approx(0.9 * (0.9 * 1 + 0.1 * 3) + 0.1 * 5)


def test_a_percentile_leaves_out_outliers_and_nothing_else():
    values = np.concatenate([np.linspace(-1, 1, 9999), [50.0]])
    low, high = PercentileObserver(percentile=99.9).range(seen(values), ASYMMETRIC)
    bin_width = 2 * 64 / seen(values).counts.size
    assert low == pytest.approx(np.percentile(values, 0.1), abs=bin_width)
    assert high == pytest.approx(np.percentile(values, 99.9), abs=bin_width)


def test_all_of_the_values_are_the_extremes():
    values = np.random.default_rng(2).normal(size=3000)
    assert PercentileObserver(percentile=100).range(seen(values), ASYMMETRIC) == pytest.approx(
        (np.float32(values.min()), np.float32(values.max()))
    )


@pytest.mark.parametrize("form", [FOUR_BITS, TensorFormat("int", 4)], ids=["asymmetric", "symmetric"])
def test_the_least_squares_range_beats_every_clipped_range_of_a_naive_search(form):
    values = np.random.default_rng(3).laplace(size=4000).astype(np.float32)
    levels = 2**form.bits
    low, high = MseObserver().range(seen(values), form)
    found = rounding_error(values, low, high, levels)
    ends = (float(values.min()), float(values.max()))
    if form.symmetric:
        ends = (-max(-ends[0], ends[1]), max(-ends[0], ends[1]))
    tried = [
        rounding_error(values, ends[0] * share, ends[1] * share, levels) for share in np.linspace(0.2, 1, 17)
    ]
    assert found <= min(tried) * 1.01


def test_the_optimal_clipping_of_a_laplace_distribution_at_4_bits_is_the_published_one():
    """Banner et al. 2019: about 5.03 b for 4 bits, for a range of 16 levels around 0."""
    values = np.random.default_rng(4).laplace(size=400_000).astype(np.float32)
    low, high = MseObserver().range(seen(*np.array_split(values, 8)), TensorFormat("int", 4))
    assert high == pytest.approx(5.03, rel=0.08)
    assert low == -high


def test_entropy_clips_outliers_and_keeps_what_fits_the_levels():
    rng = np.random.default_rng(5)
    outliers = np.concatenate([rng.normal(size=50_000), [40.0, -40.0]])
    low, high = EntropyObserver().range(seen(outliers), ASYMMETRIC)
    assert high < 20
    assert low > -20
    assert EntropyObserver().range(seen(rng.uniform(0, 1, 20_000)), ASYMMETRIC)[1] > 0.95


@pytest.mark.parametrize(
    "make",
    [
        lambda: MovingAverageObserver(momentum=1.0),
        lambda: PercentileObserver(percentile=50.0),
        lambda: PercentileObserver(percentile=100.1),
    ],
)
def test_settings_out_of_range_are_errors(make):
    with pytest.raises(OptionError, match="must be in"):
        make()


def test_a_tensor_that_was_always_zero_has_the_range_from_zero_to_one():
    assert observers.get("mse").range(seen([0.0]), ASYMMETRIC) == (0.0, 1.0)
