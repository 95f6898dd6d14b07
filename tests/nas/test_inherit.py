"""Weights of a network for another one of the same space."""

import keras
import numpy as np

import tfzip
from tfzip.nas.spaces import mobilenet, resnet, sequence


def test_kernels_are_laid_into_the_middle_and_channels_to_the_front():
    def conv(size, width):
        return keras.Sequential([keras.Input((9, 9, 2)), keras.layers.Conv2D(width, size, name="c")])

    small, large = conv(3, 4), conv(5, 6)
    before = np.array(large.layers[0].kernel)
    share = tfzip.inherit_weights(large, small)
    after, given = np.array(large.layers[0].kernel), np.array(small.layers[0].kernel)
    np.testing.assert_array_equal(after[1:4, 1:4, :, :4], given)
    np.testing.assert_array_equal(after[..., 4:], before[..., 4:])
    np.testing.assert_array_equal(after[0], before[0])
    assert share == (given.size + 4) / (after.size + 6)
    tfzip.inherit_weights(small, large)
    np.testing.assert_array_equal(np.array(small.layers[0].kernel), given)


def test_other_kinds_and_other_names_inherit_nothing():
    one = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")]
    )
    other = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="x"), keras.layers.PReLU(name="b")]
    )
    assert tfzip.inherit_weights(one, other) == 0


def test_samples_of_the_ready_spaces_inherit_from_their_neighbours():
    rng = np.random.default_rng(0)
    for networks in (mobilenet((16, 16, 3), 4), resnet((16, 16, 3), 4), sequence((20, 3), 4)):
        for _ in range(3):
            choices = networks.space.sample(rng)
            parent = networks.build(choices)
            assert tfzip.inherit_weights(networks.build(choices), parent) == 1.0
            child = networks.build(networks.space.mutated(choices, rng))
            assert tfzip.inherit_weights(child, parent) > 0.1
