"""Trials that are ended early: the rules by hand, and a search that spends less."""

import pytest

import tfzip
from tests.nas.worker import SPACE, value
from tfzip.errors import OptionError, UnknownNameError
from tfzip.nas.stoppers import AshaStopper, MedianStopper, stoppers


def test_a_third_passes_each_rung_and_no_other_step_is_one():
    rule = AshaStopper(first=1, factor=3)
    others = [{1: value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert rule.reason({1: 0.45}, others) == ""  # second of six, two go on
    assert "place 3 of 6, 2 go on" in rule.reason({1: 0.35}, others)
    assert rule.reason({1: 0.9, 2: 0.0}, [{2: 1.0}]) == ""
    assert rule.reason({1: 0.9, 3: 0.0}, [{1: 0.1, 3: 1.0}]) != ""
    assert rule.reason({1: 0.0}, []) == ""  # the first of all
    assert AshaStopper(first=2, factor=2).reason({4: 0.0}, [{4: 1.0}])
    assert not AshaStopper(first=2, factor=2).reason({6: 0.0}, [{6: 1.0}])


def test_what_was_never_as_good_as_half_of_the_others_on_average_ends():
    rule = MedianStopper(first=2, trials=3)
    others = [{1: 0.2, 2: 0.4}, {1: 0.4, 2: 0.6}, {1: 0.6, 2: 0.8}]  # means 0.3, 0.5, 0.7
    assert rule.reason({1: 0.1}, others) == ""  # too early
    assert rule.reason({1: 0.5, 2: 0.1}, others) == ""  # its best is 0.5
    assert "0.4 by step 2 is below 0.5" in rule.reason({1: 0.4, 2: 0.1}, others)
    assert rule.reason({1: 0.4, 2: 0.1}, others[:2]) == ""  # too few


def test_rules_refuse_what_they_cannot_do():
    with pytest.raises(OptionError, match="factor at least 2"):
        AshaStopper(factor=1)
    with pytest.raises(OptionError, match="at least 1"):
        MedianStopper(first=0)


@pytest.mark.parametrize("name", list(stoppers))
def test_a_search_ends_trials_early_and_finds_as_much(name):
    steps = []

    def objective(choices, report):
        for step in range(1, 10):
            steps.append(step)
            report(step, value(choices)["accuracy"] * (10 - step) / 2)
        return value(choices)

    options = {"trials": 40, "storage": ":memory:", "constraints": {"cost": 22}}
    found = tfzip.search(SPACE, objective, stopper=name, **options)
    ended = [trial for trial in found.trials if trial.reason.startswith("stopped: ")]
    assert len(found.trials) == 40
    assert len(ended) >= 10
    assert len(steps) < 0.8 * 40 * 9
    assert not found.best.reason


def test_small_values_are_good_where_they_are_wanted():
    def objective(choices, report):
        report(1, choices["x0"])
        return {"loss": choices["x0"]}

    found = tfzip.search(SPACE, objective, stopper="asha", maximize="-loss", trials=40, storage=":memory:")
    ended = {trial.choices["x0"] for trial in found.trials if trial.reason}
    assert found.best.metrics["loss"] <= min(ended)


def test_an_unknown_rule_is_refused_with_the_near_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'median'"):
        tfzip.search(SPACE, value, stopper="medina", storage=":memory:")
