"""k-means on numbers and the sharing of rows, against loops that follow the definitions."""

import keras
import numpy as np
import pytest

from tfzip.quantization.clustering.assign import (
    assign_by_channel,
    assign_by_kernel,
    recover_by_channel,
    recover_by_kernel,
)
from tfzip.quantization.clustering.centroids import INITIALIZATIONS, choose_centroids
from tfzip.quantization.clustering.rows import Rows
from tfzip.quantization.clustering.sharing import (
    fitted_scales,
    nearest,
    reassigned_by_channel,
    reassigned_by_kernel,
    shared_by_channel,
    shared_by_kernel,
)

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(6, 50)).astype(np.float32) * np.geomspace(0.1, 3, 6, dtype=np.float32)[:, None]
ONES = np.ones(6, np.float32)


def naive_lloyd(values, centroids, rounds=100):
    """k-means as in a textbook: the distance of every value to every centroid, then means."""
    centroids = [float(c) for c in centroids]
    for _ in range(rounds):
        members = [[] for _ in centroids]
        for value in values:
            distances = [abs(value - c) for c in centroids]
            members[distances.index(min(distances))].append(value)
        centroids = [float(np.mean(m)) if m else c for m, c in zip(members, centroids, strict=True)]
    return np.array(centroids)


def test_centroids_are_those_of_a_naive_loop():
    values = RNG.normal(size=300)
    expected = naive_lloyd(np.sort(values), np.linspace(values.min(), values.max(), 7))
    found = choose_centroids(values, 7, initialization="linear")
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_every_initialization_ends_where_centroids_are_means_and_pinned_ones_stay(initialization):
    values = np.clip(RNG.normal(size=400) / 2, -1, 1)
    found = choose_centroids(values, 9, initialization=initialization, pinned=(-1.0, 1.0))
    assert len(found) == 9
    assert (np.diff(found) > 0).all()
    assert found[0] == -1
    assert found[-1] == 1
    members = np.abs(values[:, None] - found).argmin(axis=1)
    for code in range(1, 8):
        assert found[code] == pytest.approx(values[members == code].mean())


def test_the_first_centroids_of_density_are_quantiles_and_of_linear_are_even():
    values = np.array([0.0, 1, 2, 3, 100])
    rng = np.random.default_rng(0)
    none = np.array([])
    np.testing.assert_allclose(INITIALIZATIONS["density"](values, 2, none, rng), [1, 3])
    np.testing.assert_allclose(INITIALIZATIONS["linear"](values, 3, none, rng), [0, 50, 100])


def test_kmeans_plus_plus_draws_far_values_and_the_same_ones_for_a_seed():
    values = np.concatenate([np.zeros(1000) + RNG.normal(size=1000) * 1e-3, [50.0, -80.0]])
    first = choose_centroids(values, 3, initialization="kmeans++", seed=1)
    np.testing.assert_array_equal(first, choose_centroids(values, 3, initialization="kmeans++", seed=1))
    np.testing.assert_allclose(first, [-80, 0, 50], atol=1e-3)


def test_as_few_values_as_clusters_are_their_own_centroids():
    np.testing.assert_array_equal(choose_centroids(np.array([3.0, 1, 3, 2]), 5), [1, 2, 3])
    np.testing.assert_array_equal(nearest(np.array([[1.4, 1.5, 9]]), np.array([[1.0, 2, 3]])), [[0, 0, 2]])


@pytest.mark.parametrize("axes", [(-1,), (-2, -1), (-2,), ()])
def test_rows_go_back_to_the_kernel_they_came_from(axes):
    kernel = RNG.normal(size=(3, 2, 4, 5)).astype(np.float32)
    rows = Rows(kernel.shape, axes)
    parted = np.asarray(rows.of(kernel))
    assert parted.shape == (rows.channels, rows.per_channel)
    np.testing.assert_array_equal(rows.kernel(parted), kernel)
    if axes == (-2,):
        np.testing.assert_array_equal(np.sort(parted[3]), np.sort(kernel[:, :, 3].reshape(-1)))


def test_weights_of_a_channel_with_one_code_have_their_mean_and_zeros_stay():
    index = np.array([[0, 0, 1, -1], [2, 1, 2, 1]], np.int32)
    rows = np.array([[1.0, 3, 5, 9], [2, 4, 6, 8]], np.float32)
    np.testing.assert_array_equal(shared_by_channel(rows, index, 3), [[2, 2, 5, 0], [4, 6, 4, 6]])


def naive_scales_and_codes(rows, index, clusters):
    """The two least-squares fits of `shared_by_kernel`, each from the numerator and the denominator."""
    outer = []
    for row, codes in zip(rows, index, strict=True):
        ends = [w if c else -w for w, c in zip(row, codes, strict=True) if c in (0, clusters - 1)]
        outer.append(sum(ends) / len(ends))
    values = np.zeros(clusters)
    values[0], values[-1] = -1, 1
    for code in range(1, clusters - 1):
        pairs = [(s, w) for s, r, i in zip(outer, rows, index, strict=True) for w in r[i == code]]
        if pairs:
            values[code] = sum(s * w for s, w in pairs) / sum(s * s for s, _ in pairs)
    scales = []
    for row, codes in zip(rows, index, strict=True):
        used = [(w, values[c]) for w, c in zip(row, codes, strict=True) if c >= 0]
        scales.append(sum(w * v for w, v in used) / sum(v * v for _, v in used))
    return np.array(scales), values


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_scales_and_codes_are_the_least_squares_fits(zeros):
    rows = np.where(RNG.random(ROWS.shape) < zeros, 0, ROWS).astype(np.float32)
    signs = np.array([1, -1, 1, 1, -1, 1], np.float32)
    index = assign_by_kernel(rows, 8, signs)
    moved = (rows + RNG.normal(size=rows.shape) * 0.01).astype(np.float32)
    scales, codes = fitted_scales(moved, index, 8)
    expected_scales, expected_codes = naive_scales_and_codes(moved.astype(np.float64), index, 8)
    used = np.unique(index[index >= 0])
    np.testing.assert_allclose(np.asarray(scales)[:, 0], expected_scales, rtol=1e-4)
    np.testing.assert_allclose(np.asarray(codes)[used], expected_codes[used], rtol=1e-4)
    assert (np.sign(expected_scales) == signs).all()


@pytest.mark.parametrize("clusters", [3, 16])
@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_one_codebook_serves_a_kernel_up_to_the_scales_of_channels(clusters, zeros):
    rows = np.where(RNG.random(ROWS.shape) < zeros, 0, ROWS).astype(np.float32)
    shared = np.asarray(shared_by_kernel(rows, assign_by_kernel(rows, clusters, ONES), clusters))
    integers = np.rint(shared / np.abs(shared).max(axis=1, keepdims=True) * 127)
    assert len(np.unique(integers)) <= clusters
    np.testing.assert_array_equal(shared == 0, rows == 0)


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_weights_take_the_code_that_is_nearest(zeros):
    rows = np.where(RNG.random(ROWS.shape) < zeros, 0, ROWS).astype(np.float32)
    index = assign_by_kernel(rows, 8, ONES, spare=True)
    moved = np.where(rows, rows + RNG.normal(size=rows.shape) * 0.1, 0).astype(np.float32)
    scales, codes = map(np.asarray, fitted_scales(moved, index, 8))
    used = np.unique(index[index >= 0])
    found = np.asarray(reassigned_by_kernel(moved, index, 8))
    values = np.sort(codes)[found]
    least = np.abs((moved / scales)[..., None] - codes[used]).min(axis=-1)
    forced = (moved != 0) & (np.abs(values - moved / scales) > least + 1e-5)  # to have an outermost one
    assert forced.sum(axis=1).max() <= 1
    np.testing.assert_array_equal(found < 0, moved == 0)
    assert ((found == 0) | (found == 7)).any(axis=1).all()
    assert len(np.unique(found[found >= 0])) <= len(used) == 7  # the spare code stays one
    by_channel = assign_by_channel(rows, 8)
    found = np.asarray(reassigned_by_channel(moved, by_channel, 8))
    for row, before, after in zip(moved, by_channel, found, strict=True):
        means = np.sort([row[before == code].mean() for code in np.unique(before[before >= 0])])
        alive = row != 0
        expected = np.abs(row[alive, None] - means).argmin(axis=1)
        ranks = [np.unique(codes, return_inverse=True)[1] for codes in (after[alive], expected)]
        np.testing.assert_array_equal(*ranks)


def test_shared_rows_do_not_drift():
    index = assign_by_kernel(ROWS, 16, ONES)
    first = shared = keras.ops.convert_to_tensor(shared_by_kernel(ROWS, index, 16))
    for _ in range(60):
        shared = shared_by_kernel(shared, index, 16)
    np.testing.assert_allclose(shared, first, rtol=3e-6)
    first = shared = shared_by_channel(ROWS, assign_by_channel(ROWS, 16), 16)
    for _ in range(10):
        shared = shared_by_channel(shared, assign_by_channel(ROWS, 16), 16)
    np.testing.assert_array_equal(shared, first)


def test_a_channel_that_lost_its_outermost_weights_keeps_a_scale():
    index = assign_by_kernel(ROWS, 8, ONES)
    index[2][(index[2] == 0) | (index[2] == 7)] = -1
    shared = np.asarray(shared_by_kernel(ROWS, index, 8))
    kept = index[2] >= 0
    assert np.corrcoef(shared[2][kept], ROWS[2][kept])[0, 1] > 0.9


@pytest.mark.parametrize("clusters", [4, 16])
def test_codes_are_recovered_from_shared_weights_and_only_from_those(clusters):
    rows = np.where(RNG.random(ROWS.shape) < 0.3, 0, ROWS).astype(np.float32)
    shared = np.asarray(shared_by_kernel(rows, assign_by_kernel(rows, clusters, ONES), clusters))
    found = recover_by_kernel(shared, clusters, ONES)
    np.testing.assert_allclose(shared_by_kernel(shared, found, clusters), shared, rtol=1e-6)
    assert recover_by_kernel(rows, clusters, ONES) is None
    shared = np.asarray(shared_by_channel(rows, assign_by_channel(rows, clusters), clusters))
    np.testing.assert_array_equal(
        shared_by_channel(shared, recover_by_channel(shared, clusters), clusters), shared
    )
    assert recover_by_channel(rows, clusters) is None


def test_a_kernel_of_zeros_stays_one():
    zeros = np.zeros((2, 30), np.float32)
    for index in (assign_by_kernel(zeros, 4, np.ones(2)), assign_by_channel(zeros, 4)):
        np.testing.assert_array_equal(index, -1)
    np.testing.assert_array_equal(shared_by_kernel(zeros, index, 4), zeros)
    assert recover_by_kernel(zeros, 4, np.ones(2)) is not None
