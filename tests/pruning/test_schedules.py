import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfzip.errors import OptionError
from tfzip.pruning.schedules import (
    ConstantSchedule,
    CosineSchedule,
    LinearSchedule,
    PolynomialSchedule,
    schedules,
)

FRACTIONS = st.floats(0.0, 1.0, exclude_max=True)


def test_polynomial_follows_the_paper():
    schedule = PolynomialSchedule(0.9, initial=0.1)
    assert schedule(0.0) == pytest.approx(0.1)
    assert schedule(0.5) == pytest.approx(0.9 + (0.1 - 0.9) * 0.125)
    assert schedule(1.0) == 0.9


def test_linear_is_halfway_at_half_time():
    assert LinearSchedule(0.8, initial=0.2)(0.5) == pytest.approx(0.5)


def test_cosine_is_flat_at_both_ends():
    schedule = CosineSchedule(0.8)
    assert schedule(0.25) == pytest.approx(0.4 * (1 - math.sqrt(0.5)))
    assert schedule(0.01) < 0.01 * 0.8
    assert 0.8 - schedule(0.99) < 0.01 * 0.8


def test_constant_cuts_at_once():
    assert ConstantSchedule(0.6)(0.0) == 0.6


@settings(deadline=None)
@given(
    name=st.sampled_from([name for name in schedules if name != "constant"]),
    ends=st.tuples(FRACTIONS, FRACTIONS),
    moments=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
)
def test_ramps_never_fall_and_never_leave_their_ends(name, ends, moments):
    initial, sparsity = sorted(ends)
    schedule = schedules.get({"name": name, "sparsity": sparsity, "initial": initial})
    earlier, later = (schedule(moment) for moment in sorted(moments))
    assert 0.0 <= earlier <= later <= sparsity < 1.0
    assert schedule(1.0) == sparsity


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 60, float("nan"), True, "0.6"])
def test_a_sparsity_outside_its_range_says_what_was_expected(sparsity):
    with pytest.raises(OptionError, match=r"a fraction in \[0, 1\).*Received"):
        ConstantSchedule(sparsity)


def test_a_ramp_may_not_fall():
    with pytest.raises(OptionError, match="must not exceed sparsity=0.5"):
        LinearSchedule(0.5, initial=0.6)


def test_a_power_below_one_is_refused():
    with pytest.raises(OptionError, match="power must be at least 1"):
        PolynomialSchedule(0.5, power=0.5)
