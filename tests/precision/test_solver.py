"""The knapsack against trying everything."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfzip.precision.solver import Options, choose

numbers = st.integers(-40, 40)
groups = st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=3), min_size=1, max_size=6)


def best_of_all(instance, limit):
    """Returns the least loss, and the least cost that it can be had for."""
    totals = [
        tuple(map(sum, zip(*picked, strict=True)))
        for picked in itertools.product(*instance)
        if sum(cost for cost, _ in picked) <= limit
    ]
    return min(((loss, cost) for cost, loss in totals), default=None)


def solved(instance, limit):
    options = [
        Options(*(np.array(column, float) for column in zip(*group, strict=True))) for group in instance
    ]
    return choose(options, limit)


@settings(max_examples=300, deadline=None)
@given(groups, st.integers(-150, 150), st.sampled_from([1.0, 0.37, 1e-7, 1e6]))
def test_the_choice_is_the_best_of_all(instance, limit, unit):
    scaled = [[(cost, loss * unit) for cost, loss in group] for group in instance]
    expected, found = best_of_all(scaled, limit), solved(scaled, limit)
    if expected is None:
        assert found is None
        return
    picked = [group[index] for group, index in zip(scaled, found, strict=True)]
    assert sum(cost for cost, _ in picked) <= limit
    assert sum(loss for _, loss in picked) == pytest.approx(expected[0], rel=1e-9, abs=1e-9 * unit)


def test_two_hundred_layers_with_real_costs_are_solved_at_once():
    rng = np.random.default_rng(0)
    sizes = rng.integers(200, 2_000_000, 200).astype(float)
    options = [Options(np.array([size, size / 2]), np.array([0.0, rng.exponential()])) for size in sizes]
    found = choose(options, 0.7 * sizes.sum())
    used = sum(option.costs[index] for option, index in zip(options, found, strict=True))
    assert 0.6999 * sizes.sum() < used <= 0.7 * sizes.sum()


def test_no_choice_is_none():
    assert choose([Options(np.array([3.0, 2.0]), np.array([0.0, 1.0]))], 1.9) is None
