"""Predicted costs: how near they are, how often the interval holds, what they refuse."""

import numpy as np
import pytest

import tfzip
from tfzip.errors import OptionError, UnknownNameError
from tfzip.nas.predictor import CostPredictor, fit_predictor

SPACE = tfzip.Space(
    {
        "depth": tfzip.IntRange(1, 8),
        "width": tfzip.IntRange(8, 64, 8),
        "kind": tfzip.Choice(["plain", "separable", "none"]),
        "kernel": tfzip.Choice([3, 5, 7], only_if={"kind": ["plain", "separable"]}),
    }
)


def cost(choices, rng=None):
    """Returns a latency in which choices act together, with noise."""
    factor = {"plain": 1.0, "separable": 0.3, "none": 0.05}[choices["kind"]]
    found = 1.0 + choices["depth"] * choices["width"] / 64 * factor * choices.get("kernel", 1) / 3
    return found * (1.0 if rng is None else 1.0 + rng.normal(0, 0.03))


def measured(count, seed=0):
    rng = np.random.default_rng(seed)
    samples = [SPACE.sample(rng) for _ in range(count)]
    return [(choices, cost(choices, rng)) for choices in samples]


def fitted(count=150, seed=0, **options):
    return fit_predictor(SPACE, measured(count, seed), metric="latency_ms", device="board", **options)


@pytest.mark.parametrize("confidence", [0.8, 0.9])
def test_intervals_hold_as_often_as_they_say(confidence):
    shares = []
    for seed in range(8):
        predictor = fitted(seed=seed, confidence=confidence)
        others = measured(600, seed=100 + seed)
        found = predictor.values(SPACE, [choices for choices, _ in others])
        wanted = np.array([value for _, value in others])
        shares.append(np.mean(np.abs(found - wanted) <= predictor.half))
    assert np.mean(shares) == pytest.approx(confidence, abs=0.04)


def test_leave_one_out_is_what_fitting_without_one_gives():
    rows = measured(30)
    whole = fit_predictor(SPACE, rows, metric="m", device="d", confidence=0.5)
    costs = np.array([value for _, value in rows])
    features = [_pairs(choices) for choices, _ in rows]
    apart = []
    for index in range(len(rows)):
        rest = np.delete(np.arange(len(rows)), index)
        matrix = np.stack([features[place] for place in rest])
        gram = matrix @ matrix.T + whole.ridge * np.eye(len(rest))
        weights = np.linalg.solve(gram, costs[rest] - costs.mean())
        apart.append(abs(matrix @ features[index] @ weights + costs.mean() - costs[index]))
    assert whole.half == pytest.approx(sorted(apart)[15], rel=1e-6)  # the 16th of 30 for a half of 31


def _pairs(choices):
    """Returns the features of a kernel of second degree, written out."""
    plain = [1.0]
    for name, parameter in SPACE.parameters.items():
        own = [float(choices.get(name) == option) for option in parameter.options]
        if isinstance(parameter, tfzip.IntRange):
            own.append(parameter.options.index(choices[name]) / (len(parameter.options) - 1))
        plain += [one / 2.0 for one in own]  # the root of four choices
    return np.outer(plain, plain).ravel()


def test_more_samples_make_the_interval_narrower():
    assert fitted(400).half < fitted(40).half


def test_a_prediction_says_where_it_comes_from():
    found = fitted().predict(SPACE, {"depth": 4, "width": 32, "kind": "plain", "kernel": 3})
    assert found.low < found.value < found.high
    assert (found.device, found.samples, found.metric, found.confidence) == ("board", 150, "latency_ms", 0.9)
    assert "predicted from 150 samples measured on board" in str(found)


def test_predictors_are_saved_and_read():
    first = fitted()
    again = CostPredictor.from_json(first.to_json())
    choices = {"depth": 2, "width": 16, "kind": "none"}
    assert again == first
    assert again.predict(SPACE, choices) == first.predict(SPACE, choices)
    with pytest.raises(OptionError, match="no predictor"):
        CostPredictor.from_json("{}")


def test_what_no_sample_has_is_refused():
    rows = [row for row in measured(300) if row[0]["depth"] <= 6 and row[0]["kind"] != "separable"]
    predictor = fit_predictor(SPACE, rows, metric="latency_ms", device="board")
    predictor.predict(SPACE, {"depth": 6, "width": 8, "kind": "none"})
    with pytest.raises(OptionError, match="depth=7 would be extrapolated"):
        predictor.predict(SPACE, {"depth": 7, "width": 8, "kind": "none"})
    with pytest.raises(OptionError, match="kind='separable' would be extrapolated"):
        predictor.predict(SPACE, {"depth": 2, "width": 8, "kind": "separable", "kernel": 3})
    with pytest.raises(OptionError, match="another space"):
        predictor.predict(tfzip.Space({"a": tfzip.Choice([1])}), {"a": 1})
    with pytest.raises(UnknownNameError):
        predictor.predict(SPACE, {"depht": 1})


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (measured(19), {}, "at least 20 measured samples. Received: 19"),
        ([*measured(30), (measured(1)[0][0], np.nan)], {}, "finite numbers"),
        (measured(30), {"confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_bad_samples_are_one_line(rows, options, message):
    with pytest.raises(OptionError, match=message):
        fit_predictor(SPACE, rows, metric="m", device="d", **options)
