"""Channels in small steps: against a search without shortcuts, and on models."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfzip
from tests.pruning.test_remove_channels import classifier, data
from tfzip.errors import OptionError
from tfzip.pruning.channels.greedy import choose_greedily

SIZES = st.lists(st.integers(2, 12), min_size=1, max_size=4)


def naive(sizes, prices, harm, fraction, multiple):
    """Tries every number of channels of every group in every step, and returns how many go of each."""
    gone, total = [0] * len(sizes), float(np.dot(sizes, prices))

    def cost(counts):
        return total - float(np.dot(counts, prices))

    def left(index):
        size = sizes[index]
        least = max(-(-size // 10), multiple)
        more = range(gone[index] + 1, size)
        return [n for n in more if size - n >= least and (size - n) % multiple == 0]

    while cost(gone) > (1 - fraction) * total:
        goal = max((1 - fraction) * total, cost(gone) - 0.05 * total)
        tries = [[*gone[:i], n, *gone[i + 1 :]] for i in range(len(sizes)) for n in left(i)]
        enough = [one for one in tries if cost(one) <= goal]
        if enough:
            smallest = {}
            for one in enough:
                index = next(i for i in range(len(sizes)) if one[i] != gone[i])
                smallest.setdefault(index, one)
            gone = min(smallest.values(), key=harm)
        elif tries:
            largest = {}
            for one in tries:
                largest[next(i for i in range(len(sizes)) if one[i] != gone[i])] = one
            gone = min(largest.values(), key=harm)
        else:
            return None
    return gone


@settings(deadline=None, max_examples=60)
@given(sizes=SIZES, seed=st.integers(0, 99), fraction=st.floats(0, 0.95), multiple=st.integers(1, 3))
def test_the_choice_equals_that_of_a_full_search(sizes, seed, fraction, multiple):
    rng = np.random.default_rng(seed)
    begins = np.cumsum([0, *sizes])
    units = [np.arange(a, b) for a, b in pairwise(begins)]
    scores = [rng.random(size) for size in sizes]
    prices, weights = rng.uniform(1, 5, len(sizes)), rng.uniform(1, 5, len(sizes))

    def counts(removed):
        return np.histogram(removed, begins)[0]

    def harm(gone):
        return float((weights * np.square(np.asarray(gone) / sizes)).sum()) + 1.0

    def choose():
        return choose_greedily(
            units,
            scores,
            fraction,
            multiples=[multiple] * len(sizes),
            cost=lambda removed: float(np.dot(np.asarray(sizes) - counts(removed), prices)),
            loss=lambda removed: harm(counts(removed)),
        )

    expected = naive(sizes, prices, harm, fraction, multiple)
    if expected is None:
        with pytest.raises(OptionError, match="cannot be met"):
            choose()
        return
    removed = choose()
    np.testing.assert_array_equal(counts(removed), expected)
    for one, score, count in zip(units, scores, expected, strict=True):
        np.testing.assert_array_equal(
            sorted(set(removed) & set(one.tolist())), np.sort(one[np.argsort(score)[:count]])
        )


def test_the_layer_whose_channels_do_nothing_loses_them():
    model = classifier()
    reads = np.array(model.get_layer("second").kernel.numpy())
    reads[:, :, :6] = 0
    model.get_layer("second").kernel.assign(reads)
    x, _ = data()
    rows = x, model.predict(x, verbose=0).argmax(-1)
    small = tfzip.remove_channels(model, 0.3, scope="greedy", target="macs", data=rows)
    assert small.get_layer("first").filters < small.get_layer("second").filters
    assert 0.6 < tfzip.profile(small).macs / tfzip.profile(model).macs <= 0.7


@pytest.mark.parametrize("target", ["channels", "parameters", keras.Model.count_params])
def test_every_target_can_be_met_in_steps(target):
    model = classifier()
    small = tfzip.remove_channels(model, 0.4, scope="greedy", target=target, data=data())
    if target == "channels":
        assert small.get_layer("first").filters + small.get_layer("second").filters == 14
    else:
        assert small.count_params() <= 0.6 * model.count_params()


def test_batches_that_come_once_serve_criterion_and_steps():
    x, y = data()
    once = ((x[at : at + 16], y[at : at + 16]) for at in range(0, 64, 16))
    small = tfzip.remove_channels(classifier(), 0.3, criterion="taylor", scope="greedy", data=once)
    assert small.get_layer("first").filters + small.get_layer("second").filters == 16


def test_a_measured_loss_is_asked_for():
    with pytest.raises(OptionError, match="scope='greedy' looks at the loss"):
        tfzip.remove_channels(classifier(), scope="greedy")
    with pytest.raises(OptionError, match="needs targets"):
        tfzip.remove_channels(classifier(), scope="greedy", data=data()[0])
