"""What training samples go through in a recipe."""

import numpy as np
import pytest

from tfzip.errors import DataError, OptionError
from tfzip.recipe.augmentations import FlipAugmentation, NoiseAugmentation, ShiftAugmentation, augmentations

IMAGES = np.random.default_rng(0).integers(1, 256, (64, 6, 5, 3)).astype(np.uint8)
SERIES = np.random.default_rng(1).normal(size=(40, 9, 2)).astype(np.float32)


@pytest.mark.parametrize("name", list(augmentations))
@pytest.mark.parametrize("x", [IMAGES.astype(np.float32), SERIES], ids=["images", "series"])
def test_a_batch_keeps_its_shape_and_type_and_is_repeatable(name, x):
    before = x.copy()
    first, second = (augmentations.get(name)(x, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert not np.array_equal(first, x)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, before)


def test_half_of_the_samples_are_mirrored_as_a_whole():
    flipped = FlipAugmentation()(IMAGES, np.random.default_rng(0))
    mirrored = [np.array_equal(one, other[:, ::-1]) for one, other in zip(flipped, IMAGES, strict=True)]
    same = [np.array_equal(one, other) for one, other in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_samples_are_moved_by_every_distance_up_to_the_most():
    moved = ShiftAugmentation(most=2)(IMAGES, np.random.default_rng(0))
    seen = set()
    for one, other in zip(moved, IMAGES, strict=True):
        padded = np.pad(other, ((2, 2), (2, 2), (0, 0)))
        places = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(padded[top : top + 6, left : left + 5], one)
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert {top for top, _ in seen} == {left for _, left in seen} == set(range(5))


def test_noise_has_the_deviation_that_was_asked_for():
    added = NoiseAugmentation(deviation=0.2)(np.zeros((50, 40, 2), np.float32), np.random.default_rng(0))
    assert added.std() == pytest.approx(0.2, rel=0.05)
    assert added.mean() == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("make", [lambda: ShiftAugmentation(most=0), lambda: NoiseAugmentation(deviation=0)])
def test_bad_fields_are_one_line(make):
    with pytest.raises(OptionError, match=r"Received: 0\.$"):
        make()


@pytest.mark.parametrize("augmentation", [FlipAugmentation(), ShiftAugmentation()])
def test_samples_without_positions_are_refused(augmentation):
    with pytest.raises(DataError, match=r"samples with positions and channels. Received .*\(7,\)"):
        augmentation(np.zeros((4, 7), np.float32), np.random.default_rng(0))
