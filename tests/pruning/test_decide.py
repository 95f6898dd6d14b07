import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfzip.errors import OptionError
from tfzip.pruning.criteria import L1Criterion, L2Criterion, MagnitudeCriterion, WeightCriterion, criteria
from tfzip.pruning.decide import choose_masks
from tfzip.pruning.patterns import ElementPattern

SPARSITIES = st.floats(0.0, 0.99)
WEIGHTS = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-2, 2, width=32)
)


def naive_mask(scores, sparsity):
    """Sorts by score, then by position, and drops the first ones."""
    flat = scores.ravel().tolist()
    order = sorted(range(len(flat)), key=lambda position: (flat[position], position))
    kept = [True] * len(flat)
    for position in order[: min(round(sparsity * len(flat)), len(flat) - 1)]:
        kept[position] = False
    return np.array(kept).reshape(scores.shape)


def choose(kernels, sparsity, criterion, scope, starts=None):
    return choose_masks(
        kernels, sparsity, criterion=criterion, pattern=ElementPattern(), scope=scope, starts=starts
    )


@settings(deadline=None, max_examples=50)
@given(scores=WEIGHTS, sparsity=SPARSITIES)
def test_element_masks_equal_a_full_sort(scores, sparsity):
    np.testing.assert_array_equal(ElementPattern().mask(scores, sparsity), naive_mask(scores, sparsity))


def test_ties_are_broken_by_position_and_the_count_is_exact():
    mask = ElementPattern().mask(np.ones((2, 5)), 0.6)
    np.testing.assert_array_equal(mask, [[False] * 5, [False] + [True] * 4])


def test_one_weight_always_stays():
    assert ElementPattern().mask(np.zeros(3), 0.999).sum() == 1


def test_criteria_equal_hand_computed_scores():
    weights = np.array([[-3.0, 1.0], [0.0, 4.0]], np.float32)
    np.testing.assert_array_equal(MagnitudeCriterion().score(weights), [[3, 1], [0, 4]])
    np.testing.assert_array_equal(MagnitudeCriterion(order=2).score(weights), [[9, 1], [0, 16]])
    np.testing.assert_array_equal(L1Criterion().score(weights), [[1.5, 0.5], [0, 2]])
    np.testing.assert_array_equal(L2Criterion().score(weights), np.array([[9, 1], [0, 16]]) / 6.5)


def test_an_unknown_order_is_refused():
    with pytest.raises(OptionError, match="1 .L1. or 2 .L2."):
        MagnitudeCriterion(order=3)


def test_each_layer_loses_its_share():
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=(10, 10)), 100 * rng.normal(size=(5, 8))]
    masks = choose(kernels, 0.7, MagnitudeCriterion(), "layer")
    assert [int((~mask).sum()) for mask in masks] == [70, 28]


def test_a_global_magnitude_threshold_takes_the_smallest_weights_wherever_they_are():
    kernels = [np.array([[1.0, 2.0, 3.0, 9.0]]), np.array([[4.0, 5.0, 6.0, 7.0]])]
    masks = choose(kernels, 0.5, MagnitudeCriterion(), "global")
    np.testing.assert_array_equal(masks[0], [[False, False, False, True]])
    np.testing.assert_array_equal(masks[1], [[False, True, True, True]])


def test_a_global_relative_threshold_does_not_see_the_scale_of_a_layer():
    kernel = np.array([[1.0, 2.0, 3.0, 4.0]])
    for criterion in (L1Criterion(), L2Criterion()):
        small, large = choose([kernel, 1000 * kernel], 0.5, criterion, "global")
        np.testing.assert_array_equal(small, large)


def test_l1_and_l2_rank_layers_differently():
    heavy = np.array([[1.0, 1.0, 1.0, 5.0]])  # mean 2, mean square 7: its ones score 0.5 and 0.143
    even = np.array([[0.9, 2.0, 2.0, 3.1]])  # mean 2, mean square 4.605: its 0.9 scores 0.45 and 0.176
    by_l1 = choose([heavy, even], 0.125, L1Criterion(), "global")
    by_l2 = choose([heavy, even], 0.125, L2Criterion(), "global")
    np.testing.assert_array_equal(by_l1, [[[True] * 4], [[False, True, True, True]]])
    np.testing.assert_array_equal(by_l2, [[[False, True, True, True]], [[True] * 4]])


def test_no_layer_loses_all_its_weights_to_a_global_threshold():
    kernels = [np.full((4, 4), 1e-6), np.ones((4, 4))]
    masks = choose(kernels, 0.5, MagnitudeCriterion(), "global")
    assert [int(mask.sum()) for mask in masks] == [1, 15]


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize(
    "name", [name for name in criteria if issubclass(criteria.type_of(name), WeightCriterion)]
)
@settings(deadline=None, max_examples=20)
@given(first=WEIGHTS, second=WEIGHTS, sparsity=SPARSITIES)
def test_deciding_again_on_pruned_kernels_changes_nothing(name, scope, first, second, sparsity):
    kernels = [np.where(kernel == 0, np.float32(1.2e-38), kernel) for kernel in (first, second)]
    criterion = criteria.get(name)
    starts = [kernel[::-1] for kernel in kernels] if criterion.needs == "start" else None
    masks = choose(kernels, sparsity, criterion, scope, starts)
    pruned = [kernel * mask for kernel, mask in zip(kernels, masks, strict=True)]
    for before, after in zip(masks, choose(pruned, sparsity, criterion, scope, starts), strict=True):
        np.testing.assert_array_equal(before, after)
