"""Predicted figures say so; finalists are measured, and give place where they break a constraint."""

import csv

import pytest

import tfzip
from tests.nas.worker import SPACE, value
from tfzip import SearchResult
from tfzip.nas.predictor import Prediction


class Predicted:
    """An objective whose cost is predicted a fifth too low."""

    def __init__(self):
        self.asked = []

    def __call__(self, choices):
        cost = 0.8 * sum(choices.values())
        found = Prediction(cost, cost - 1, cost + 1, 0.9, "cost", "a board", 40)
        return {"accuracy": value(choices)["accuracy"], "cost": found}

    def measured(self, choices):
        self.asked.append(choices)
        return {"cost": sum(choices.values())}


def test_the_best_is_measured_and_keeps_the_constraint(tmp_path):
    objective, storage = Predicted(), tmp_path / "s.journal"
    options = {"constraints": {"cost": 20.0}, "trials": 80, "storage": storage, "finalists": 2}
    found = tfzip.search(SPACE, objective, **options)
    assert found.best.predicted == {}
    assert found.best.metrics["cost"] == sum(found.best.choices.values()) <= 20
    assert any(sum(choices.values()) > 20 for choices in objective.asked)  # what gave place
    rest = [trial for trial in found.trials if trial.choices not in objective.asked]
    assert all("predicted from 40 samples measured on a board" in t.predicted["cost"] for t in rest)
    asked = len(objective.asked)
    assert asked < 40
    assert tfzip.search(SPACE, objective, **options) == found
    assert len(objective.asked) == asked  # kept in the storage


def test_a_predicted_figure_is_labelled_wherever_it_is_shown(tmp_path):
    found = tfzip.search(
        SPACE, Predicted().__call__, constraints={"cost": 20.0}, trials=20, storage=":memory:"
    )
    assert "(predicted)" in str(found)
    rows = list(csv.DictReader(found.to_csv().splitlines()))
    assert all(row["predicted"] == "cost" for row in rows)
    assert SearchResult.from_json(found.to_json()) == found


def test_a_whole_front_may_be_measured():
    objective = Predicted()
    found = tfzip.search(
        SPACE, objective, maximize=["accuracy", "-cost"], trials=40, storage=":memory:", finalists=100
    )
    assert all(not trial.predicted for trial in found.front)
    assert all(trial.metrics["cost"] == sum(trial.choices.values()) for trial in found.front)


def test_what_a_finalist_measures_has_to_be_numbers():
    class Wrong(Predicted):
        def measured(self, choices):
            return {"cost": "much"}

    with pytest.raises(tfzip.errors.OptionError, match="number for each metric"):
        tfzip.search(SPACE, Wrong(), trials=12, storage=":memory:")
