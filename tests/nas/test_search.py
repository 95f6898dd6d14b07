"""Searches: what they find, how they go on, what they refuse."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.nas.worker import SPACE, value
from tfzip.errors import OptionError
from tfzip.nas.strategies import strategies
from tfzip.nas.trial import Goal, History, Trial

ROOT = Path(__file__).parents[2]
CAP = {"cost": 22.0}


def found(strategy="evolution", **options):
    return tfzip.search(SPACE, value, strategy=strategy, storage=":memory:", **{"trials": 60, **options})


BY_SAMPLES = [name for name in strategies if name != "gradient"]


class Additive:
    """An objective that is a sum over choices, so that what is expected of shares is exact."""

    def __call__(self, choices):
        return value(choices)

    def expected(self, shares):
        options = tf.range(10, dtype=tf.float32)
        apart = tf.add_n([tf.tensordot(one, tf.square(options - 6.0), 1) for one in shares.values()])
        return {
            "accuracy": -apart,
            "cost": tf.add_n([tf.tensordot(one, options, 1) for one in shares.values()]),
        }


@pytest.mark.parametrize(("cap", "best"), [(None, -1.0), (22.0, -4.0), (17.0, -15.0)])
def test_gradients_come_to_the_best_within_the_cap_and_never_above(cap, best):
    calls = []

    class Watched(Additive):
        def __call__(self, choices):
            calls.append(choices)
            return super().__call__(choices)

    constraints = {} if cap is None else {"cost": cap}
    options = {"strategy": "gradient", "trials": 5, "storage": ":memory:", "constraints": constraints}
    result = tfzip.search(SPACE, Watched(), **options)
    assert result.best.metrics["accuracy"] >= best
    assert len(calls) == 5
    assert all(cap is None or sum(choices.values()) <= cap for choices in calls)
    again = tfzip.search(SPACE, Additive(), **options)
    assert [trial.choices for trial in again.trials] == calls


def test_gradients_need_an_objective_that_is_known_in_between():
    with pytest.raises(OptionError, match="method expected"):
        found("gradient")
    space = tfzip.Space({"a": tfzip.Choice([1, 2]), "b": tfzip.Choice([1, 2], only_if={"a": 1})})
    with pytest.raises(OptionError, match="always exist"):
        tfzip.search(space, Additive(), strategy="gradient", storage=":memory:")


@pytest.mark.parametrize("strategy", BY_SAMPLES)
def test_every_strategy_keeps_the_constraints_and_is_repeatable(strategy):
    first, second = (found(strategy, constraints=CAP, seed=3) for _ in range(2))
    assert first.best.metrics["cost"] <= 22
    assert [trial.choices for trial in first.trials] == [trial.choices for trial in second.trials]
    assert len(first.trials) == 60
    for trial in first.trials:
        SPACE.check(trial.choices)
    assert [trial.choices for trial in found(strategy, seed=4).trials] != [t.choices for t in second.trials]


@pytest.mark.parametrize("strategy", ["evolution", "reinforce", "tpe"])
def test_strategies_beat_drawing(strategy):
    def mean(name):
        return np.mean([found(name, seed=seed).best.metrics["accuracy"] for seed in range(6)])

    assert mean(strategy) > mean("random") + 1.0


def test_the_front_between_two_metrics_is_that_of_a_full_comparison():
    result = found(maximize=["accuracy", "-cost"], trials=80)
    points = [(trial.metrics["accuracy"], -trial.metrics["cost"]) for trial in result.trials]
    front = {
        point
        for point in points
        if not any(
            all(a >= b for a, b in zip(other, point, strict=True)) and other != point for other in points
        )
    }
    assert {(trial.metrics["accuracy"], -trial.metrics["cost"]) for trial in result.front} == front
    assert len(result.front) == len(front) > 3


def test_conditional_choices_exist_where_they_may():
    space = tfzip.Space(
        {"kind": tfzip.Choice(["a", "b"]), "size": tfzip.IntRange(1, 9, only_if={"kind": "b"})}
    )
    for name in BY_SAMPLES:
        result = tfzip.search(
            space, lambda c: {"accuracy": c.get("size", 0)}, strategy=name, trials=40, storage=":memory:"
        )
        assert result.best.choices == {"kind": "b", "size": 9}
        for trial in result.trials:
            space.check(trial.choices)


def test_what_cannot_be_built_is_infeasible_and_the_search_goes_on():
    def objective(choices):
        if choices["x0"] > 4:
            raise ValueError("too\n deep")
        return value(choices)

    result = tfzip.search(SPACE, objective, trials=40, storage=":memory:")
    assert result.best.choices["x0"] <= 4
    reasons = {trial.reason for trial in result.trials}
    assert reasons == {"", "ValueError: too deep"}


def test_where_nothing_can_be_built_the_search_stops_with_the_reason():
    calls = []

    def objective(choices):
        calls.append(choices)
        raise RuntimeError("no such layer")

    with pytest.raises(OptionError, match="first 10 samples could be built.*RuntimeError: no such layer"):
        tfzip.search(SPACE, objective, storage=":memory:")
    assert len(calls) == 10


def test_constraints_that_cannot_be_met_are_named_with_the_nearest():
    with pytest.raises(OptionError, match=r"None of 30 trials keeps.*nearest.*cost .* of at most -1"):
        found(constraints={"cost": -1.0}, trials=30)


def run(**fields):
    command = [sys.executable, "-m", "tests.nas.worker", json.dumps(fields)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_search_goes_on_with_no_trial_lost_or_repeated(tmp_path):
    fields = [
        {"storage": f"{tmp_path}/{name}", "log": f"{tmp_path}/{name}.log", "trials": 30} for name in "ab"
    ]
    whole, killed = run(**fields[0]), run(**fields[1], kill_at=12)
    out, error = whole.communicate(timeout=120)
    assert whole.returncode == 0, error
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    again = run(**fields[1])
    more, error = again.communicate(timeout=120)
    assert again.returncode == 0, error
    assert more == out
    logs = [Path(one["log"]).read_text().splitlines() for one in fields]
    tried = [[line.partition(" ")[2] for line in lines] for lines in logs]
    assert tried[0] == tried[1]
    assert len(tried[0]) == 30


def test_workers_share_one_search(tmp_path):
    fields = {"storage": f"{tmp_path}/shared", "log": f"{tmp_path}/log", "trials": 40, "together": 3}
    workers = [run(**fields, kill_at=1), run(**fields), run(**fields)]
    results = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [-signal.SIGKILL, 0, 0], results[1][1] + results[2][1]
    assert results[1][0] == results[2][0]
    assert results[1][0].startswith("40 ")
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 40
    assert len({line.split()[0] for line in lines}) == 3


def test_another_search_in_the_same_storage_is_refused(tmp_path):
    storage = tmp_path / "search.journal"
    tfzip.search(SPACE, value, trials=3, storage=storage)
    with pytest.raises(OptionError, match="another space"):
        tfzip.search(tfzip.Space({"a": tfzip.Choice([1, 2])}), value, trials=3, storage=storage)
    with pytest.raises(OptionError, match="another objective or constraints"):
        tfzip.search(SPACE, value, trials=3, storage=storage, constraints=CAP)
    assert len(tfzip.search(SPACE, value, trials=5, storage=storage).trials) == 5


def test_an_interrupted_trial_is_tried_again(tmp_path):
    storage, seen = tmp_path / "search.journal", []

    def objective(choices):
        seen.append(choices)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return value(choices)

    with pytest.raises(KeyboardInterrupt):
        tfzip.search(SPACE, objective, trials=6, storage=storage)
    assert len(tfzip.search(SPACE, objective, trials=6, storage=storage).trials) == 6
    assert seen[3] == seen[4]


def test_results_are_saved_and_read(tmp_path):
    result = found(maximize=["accuracy", "-cost"], constraints=CAP)
    read = tfzip.SearchResult.from_json(result.save(tmp_path / "r.json").read_text())
    assert read == result
    lines = result.save(tmp_path / "r.csv").read_text().splitlines()
    assert lines[0] == "trial,x0,x1,x2,x3,accuracy,cost,front,predicted,reason"
    assert len(lines) == 61
    assert sum(int(line.split(",")[-3]) for line in lines[1:]) == len(result.front)
    assert result.save(tmp_path / "r.svg").read_text().startswith("<?xml")
    assert "60 trials, 0 of them not built" in str(result)
    with pytest.raises(OptionError, match="ends in"):
        result.save(tmp_path / "r.bmp")
    for name in ("r.json", "r.csv", "r.svg"):
        with pytest.raises(OptionError, match="folder"):
            result.save(tmp_path / "nowhere" / name)
    with pytest.raises(OptionError, match="no result of a search"):
        tfzip.SearchResult.from_json("{}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials is a whole number"),
        ({"seed": -1}, "seed is a whole number"),
        ({"maximize": ()}, "one metric or several"),
        ({"maximize": "accurcy"}, "returns no 'accurcy'. Its metrics: accuracy, cost"),
        ({"constraints": {"flops": 1.0}}, "returns no 'flops'"),
        ({"constraints": {"cost": "few"}}, "largest value of a metric"),
        ({"strategy": "evolutoin"}, "Did you mean 'evolution'"),
        ({"storage": "/nowhere/search.journal"}, "folder of the storage"),
        ({"strategy": {"name": "evolution", "tournament": 30}}, "at most population"),
    ],
)
def test_bad_options_are_one_line(options, message):
    with pytest.raises((OptionError, tfzip.TfzipError), match=message) as caught:
        tfzip.search(SPACE, value, **{"storage": ":memory:", **options})
    assert "\n" not in str(caught.value)


def test_metrics_are_numbers():
    with pytest.raises(OptionError, match="a number for each metric"):
        tfzip.search(SPACE, lambda choices: {"accuracy": "high"}, storage=":memory:")


def test_a_fold_goes_on_where_it_was():
    history, calls = History(), []

    def step(total, trial):
        calls.append(trial.number)
        return total + trial.number

    for number in range(4):
        history.append(Trial(number, {}))
        assert history.fold("sum", int, step) == sum(range(number + 1))
    assert calls == [0, 1, 2, 3]


def test_what_keeps_constraints_is_better_than_what_does_not():
    goal = Goal(("accuracy",), {"cost": 10.0})
    trials = [
        Trial(0, {}, {"accuracy": 0.9, "cost": 30}),
        Trial(1, {}, {"accuracy": 0.5, "cost": 11}),
        Trial(2, {}, {"accuracy": 0.1, "cost": 10}),
        Trial(3, {}, {}, "no"),
        Trial(4, {}, {"accuracy": 0.2, "cost": 1}),
    ]
    assert [trial.number for trial in sorted(trials, key=goal.key)] == [4, 2, 1, 0, 3]
