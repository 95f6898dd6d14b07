"""Values are recognised in any layout and with the noise of float arithmetic, and never mistaken by size."""

import numpy as np
import pytest

from tfzip.fingerprint import fingerprint, nearest

RNG = np.random.default_rng(0)


def test_numbers_are_those_of_numpy():
    values = np.array([[4.0, -2.0], [0.0, 1.0]])
    found = fingerprint(values)
    np.testing.assert_allclose(found[:6], [4, -2, 4, 0.75, np.sqrt(75 / 16), 1.75])
    assert found[10] == 0.5  # the median


def test_layout_and_float_noise_do_not_matter():
    values = RNG.normal(size=(1, 6, 5, 4)).astype("float32")
    others = [RNG.normal(size=values.shape), values * 1.01, values]
    noisy = np.moveaxis(values, 3, 1) * np.float32(1 + 3e-6)
    assert nearest([fingerprint(other) for other in others], fingerprint(noisy)) == 2


@pytest.mark.parametrize("others", [[], [np.zeros(7)], [np.zeros(6) + 1]])
def test_what_is_not_there_is_not_found(others):
    assert nearest([fingerprint(other) for other in others], fingerprint(np.zeros(6))) is None


def test_nothing_and_zeros_have_fingerprints_of_their_own():
    looks = [fingerprint(np.zeros((0, 3))), fingerprint(np.zeros(4))]
    assert nearest(looks, fingerprint(np.zeros((2, 2)))) == 1


def test_noise_of_deep_networks_is_borne_where_nothing_else_is_near():
    values = RNG.normal(size=1000)
    noisy = values + 0.01 * RNG.normal(size=1000)
    far, near = fingerprint(RNG.normal(size=1000) * 2), fingerprint(values * 1.02)
    assert nearest([far, fingerprint(values), fingerprint(values)], fingerprint(noisy)) == 1
    assert nearest([near, fingerprint(values)], fingerprint(noisy)) is None
    assert nearest([far], fingerprint(values * 1.1)) is None
