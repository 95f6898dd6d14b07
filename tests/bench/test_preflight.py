"""Cores by cluster or by number."""

import pytest

from tfzip.bench.devices.preflight import Preflight
from tfzip.errors import OptionError, UnknownNameError

STATE = Preflight({}, {"all": (0, 1, 2, 3), "little": (0, 1), "big": (2, 3)}, None, None, None)


@pytest.mark.parametrize(
    ("cores", "mask"), [("all", None), ("big", "c"), ("0", "1"), ("1-2", "6"), ("0,2-3", "d")]
)
def test_cores_become_a_mask(cores, mask):
    assert STATE.mask(cores) == mask


@pytest.mark.parametrize("cores", ["99999999-999999999", "1-0", "1024", "0,3-1"])
def test_numbers_that_make_no_sense_are_refused_at_once(cores):
    with pytest.raises(OptionError, match=r"cores takes numbers below 1,024, and the lower one first"):
        STATE.mask(cores)


def test_a_core_or_a_cluster_that_is_not_there_is_named():
    with pytest.raises(OptionError, match="no core 4"):
        STATE.mask("3-4")
    for unknown in ("mid", "1-", "9" * 5000):
        with pytest.raises(UnknownNameError):
            STATE.mask(unknown)
