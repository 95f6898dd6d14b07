"""Scores and the intervals of their differences, against likelihoods searched by brute force."""

import functools

import numpy as np
import pytest

from tfzip.errors import DataError
from tfzip.runtime.intervals import bootstrap_interval, tango_interval
from tfzip.runtime.scores import agreement, score, task_of

Z = 1.959963984540054


def score_statistic(d, gained, lost, samples):
    """Tango's statistic with the constrained likelihood maximized on a fine grid."""
    lost_rates = np.linspace(max(0.0, -d), (1.0 - d) / 2.0, 400_001)[1:-1]
    gained_rates = lost_rates + d
    rest = 1.0 - lost_rates - gained_rates
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [
            0.0 if count == 0 else count * np.log(rate)
            for count, rate in ((gained, gained_rates), (lost, lost_rates), (samples - gained - lost, rest))
        ]
    q = lost_rates[np.nanargmax(sum(terms))]
    return (gained - lost - samples * d) / np.sqrt(samples * (2 * q + d - d * d))


@pytest.mark.parametrize(
    ("gained", "lost", "samples"), [(3, 9, 60), (12, 5, 200), (1, 1, 30), (150, 86, 1600)]
)
def test_tangos_interval_ends_where_the_score_statistic_is_the_normal_quantile(gained, lost, samples):
    low, high = tango_interval(gained, lost, samples)
    assert low < (gained - lost) / samples < high
    assert score_statistic(low, gained, lost, samples) == pytest.approx(Z, abs=2e-3)
    assert score_statistic(high, gained, lost, samples) == pytest.approx(-Z, abs=2e-3)


def test_the_interval_holds_zero_exactly_when_mcnemars_test_keeps_equality():
    for gained in range(25):
        for lost in range(25):
            low, high = tango_interval(gained, lost, 500)
            keeps = gained + lost == 0 or abs(gained - lost) / np.sqrt(gained + lost) <= Z
            assert (low <= 0.0 <= high) == keeps, (gained, lost)


def test_without_any_flip_the_interval_still_says_how_little_few_samples_show():
    n = 50
    low, high = tango_interval(0, 0, n)
    assert high == pytest.approx(Z**2 / (n + Z**2), rel=1e-6)
    assert low == pytest.approx(-high)


def test_the_interval_covers_the_truth_at_its_level():
    rng, covered, n = np.random.default_rng(0), 0, 100
    interval = functools.cache(lambda gained, lost: tango_interval(gained, lost, n))
    for _ in range(2000):
        gained, lost, _ = rng.multinomial(n, [0.08, 0.03, 0.89])
        low, high = interval(int(gained), int(lost))
        covered += low <= 0.05 <= high
    assert 0.93 < covered / 2000 < 0.97


def test_bootstrap_of_many_differences_is_near_the_normal_interval():
    differences = np.random.default_rng(3).normal(0.2, 1.0, 2000)
    low, high = bootstrap_interval(differences, seed=0)
    half = Z * differences.std() / np.sqrt(2000)
    assert low == pytest.approx(differences.mean() - half, abs=0.01)
    assert high == pytest.approx(differences.mean() + half, abs=0.01)
    assert bootstrap_interval(differences, seed=0) == (low, high)


PROBS = np.float32([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
OTHER = np.float32([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])


@pytest.mark.parametrize(
    "targets", [[1, 0, 1, 1], [[1], [0], [1], [1]], [1.0, 0.0, 1.0, 1.0], np.eye(2)[[1, 0, 1, 1]]]
)
def test_accuracy_takes_class_numbers_and_one_hot_rows(targets):
    targets = np.asarray(targets)
    assert task_of(PROBS, targets) == "classes"
    quality = score(PROBS, OTHER, targets, "classes", seed=0)
    assert (quality.metric, quality.model, quality.file, quality.difference) == ("accuracy", 0.75, 0.5, -0.25)
    assert quality.verdict == "not distinguishable"
    assert agreement(PROBS, OTHER, "classes") == 0.75


def test_sigmoid_outputs_decide_at_one_half_and_logits_at_zero():
    targets = np.array([0, 1, 1])
    probabilities, logits = np.float32([[0.4], [0.6], [0.3]]), np.float32([[-1.0], [0.2], [3.0]])
    assert task_of(probabilities, targets) == task_of(logits, targets) == "binary"
    assert score(probabilities, probabilities, targets, "binary", seed=0).model == pytest.approx(2 / 3)
    assert score(logits, logits, targets, "binary", seed=0).model == 1.0


def test_several_yes_or_no_answers_must_all_be_right():
    targets = np.array([[1, 1, 0], [0, 0, 0]])
    outputs = np.float32([[0.9, 0.8, 0.1], [0.1, 0.7, 0.2]])
    assert task_of(outputs, targets) == "labels"
    assert score(outputs, outputs, targets, "labels", seed=0).model == 0.5


def test_pixels_are_scored_by_sample():
    outputs = np.zeros((2, 2, 2, 3), np.float32)
    outputs[..., 1] = 1.0
    targets = np.ones((2, 2, 2), np.int64)
    targets[0, 0, 0] = 2
    quality = score(outputs, outputs, targets, task_of(outputs, targets), seed=0)
    assert quality.model == pytest.approx((0.75 + 1.0) / 2)


def test_regressions_are_scored_by_absolute_error_and_have_no_agreement():
    targets = np.array([0.5, 1.5, 2.5, 3.25])
    model, file = np.float32([[0.5], [1.5], [2.0], [3.0]]), np.float32([[1.5], [2.5], [3.5], [4.25]])
    assert task_of(model, targets) == "values"
    quality = score(model, file, targets, "values", seed=0)
    assert quality.model == pytest.approx(0.75 / 4)
    assert quality.file == pytest.approx(1.0)
    assert quality.verdict == "file is worse"


def test_without_targets_only_what_looks_like_a_decision_is_one():
    assert task_of(PROBS, None) == "classes"
    assert task_of(np.float32([[0.2], [0.7]]), None) == "binary"
    assert task_of(np.float32([[2.5], [0.7]]), None) is None
    assert task_of(np.ones((2, 4, 4, 3), np.float32), None) is None


def test_a_file_that_computes_nan_is_worse_than_its_model():
    targets, model = np.array([0.5, 1.5]), np.float32([[0.4], [1.4]])
    quality = score(model, np.float32([[np.nan], [1.4]]), targets, "values", seed=0)
    assert quality.verdict == "file is worse"


def test_targets_that_are_no_classes_are_refused():
    with pytest.raises(DataError, match="from 0 to 1. Received: 0 to 7"):
        score(PROBS, PROBS, np.array([0, 1, 7, 0]), "classes", seed=0)
    with pytest.raises(DataError, match="do not fit"):
        score(PROBS, PROBS, np.zeros((4, 3)), "values", seed=0)
