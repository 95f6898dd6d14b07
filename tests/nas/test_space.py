"""Spaces: what is valid, what is drawn, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfzip
from tfzip.errors import OptionError, UnknownNameError

CONDITIONAL = tfzip.Space(
    {
        "kind": tfzip.Choice(["conv", "lstm", "none"]),
        "kernel": tfzip.Choice([3, 5], only_if={"kind": "conv"}),
        "width": tfzip.IntRange(8, 24, 8, only_if={"kind": ["conv", "lstm"]}),
        "separable": tfzip.Choice([True, False], only_if={"kernel": 5}),
    }
)


def test_the_size_is_the_number_of_different_samples():
    plain = tfzip.Space({"depth": tfzip.IntRange(1, 4), "kernel": tfzip.Choice([3, 5, 7])})
    assert plain.size == len({tuple(one.items()) for one in plain}) == 12
    # conv: 3 widths with kernel 3, 3 x 2 with kernel 5; lstm: 3 widths; none: 1
    assert CONDITIONAL.size == len({tuple(one.items()) for one in CONDITIONAL}) == 13


@given(seed=st.integers(0, 10_000))
def test_samples_and_mutations_are_valid_and_differ_in_one_choice_and_what_follows(seed):
    rng = np.random.default_rng(seed)
    sample = CONDITIONAL.sample(rng)
    CONDITIONAL.check(sample)
    other = CONDITIONAL.mutated(sample, rng)
    CONDITIONAL.check(other)
    shared = [name for name in sample if name in other]
    changed = [name for name in shared if sample[name] != other[name]]
    assert len(changed) == 1


def test_every_option_is_as_likely_as_the_others():
    rng = np.random.default_rng(0)
    kinds = [CONDITIONAL.sample(rng)["kind"] for _ in range(3000)]
    for kind in ("conv", "lstm", "none"):
        assert 900 < kinds.count(kind) < 1100


def test_one_space_is_told_from_another():
    names = [space.digest for space in (CONDITIONAL, tfzip.Space({"a": tfzip.Choice([1, 2])}))]
    assert names[0] != names[1]
    assert CONDITIONAL.digest == tfzip.Space(CONDITIONAL.parameters).digest


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfzip.Space({}), "at least one choice"),
        (lambda: tfzip.Space({"a": [1, 2]}), "names to Choice or IntRange"),
        (lambda: tfzip.Choice([]), "at least one option"),
        (lambda: tfzip.Choice("ab"), "at least one option"),
        (lambda: tfzip.Choice([1, 1]), "are different"),
        (lambda: tfzip.Choice([object()]), "let the builder look it up"),
        (lambda: tfzip.IntRange(3, 1), "no smaller"),
        (lambda: tfzip.IntRange(1, 3, 0), "at least 1"),
        (lambda: tfzip.Space({"b": tfzip.Choice([1], only_if={"a": 1})}), "does not come before"),
        (
            lambda: tfzip.Space({"a": tfzip.Choice([1]), "b": tfzip.Choice([1], only_if={"a": 2})}),
            "no option of it",
        ),
        (lambda: CONDITIONAL.check({"kind": "conv", "kernel": 3}), "'width' is missing"),
        (lambda: CONDITIONAL.check({"kind": "none", "width": 8}), "'width' does not exist here"),
        (lambda: CONDITIONAL.check({"kind": "gru"}), "no option of 'kind'"),
    ],
)
def test_what_makes_no_sense_is_one_line(make, message):
    with pytest.raises(OptionError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_unknown_choices_are_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'kernel'"):
        CONDITIONAL.check({"kernal": 3})
