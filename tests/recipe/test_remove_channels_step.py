"""A recipe makes a model narrower in rounds, and goes on in the round where it was ended."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.recipe.test_training import data, small_model, work
from tfzip.errors import DataError, OptionError, UnknownNameError
from tfzip.recipe.run_folder import RESTART, begin_step
from tfzip.recipe.steps.remove_channels import RemoveChannelsStep
from tfzip.recipe.steps.step import MODEL_FILE

STEP = RemoveChannelsStep(epochs=2, batch_size=16, fraction=0.75, rounds=2)


class EndedError(Exception):
    """Stands for the end of a process."""


def place(folder):
    """Returns the work in a folder, with its model."""
    folder.mkdir()
    found = work(folder, model_path=folder.parent / "model.keras")
    if not found.model_path.exists():
        small_model().save(found.model_path)
    return found


def test_rounds_together_remove_the_fraction(tmp_path):
    found = place(tmp_path / "run")
    outcome = STEP.run(found)
    small = keras.models.load_model(found.folder / MODEL_FILE)
    assert [layer.units for layer in small.layers if isinstance(layer, keras.layers.Dense)] == [2, 3]
    assert len(outcome.facts["history"]) == 4
    assert outcome.facts["macs"] == {"before": 4 * 8 + 8 * 3, "after": 4 * 2 + 2 * 3}


@pytest.mark.parametrize("criterion", ["taylor", "apoz"])
def test_criteria_look_at_training_rows(tmp_path, criterion):
    from tfzip.pruning.criteria import criteria

    found = place(tmp_path / "run")
    replace(STEP, criterion=criteria.get(criterion), rounds=1).run(found)
    assert keras.models.load_model(found.folder / MODEL_FILE).count_params() < small_model().count_params()


@pytest.mark.parametrize("line", ["epoch 1/2", "round 2"])
def test_a_step_that_is_ended_goes_on_to_the_same_weights(tmp_path, line):
    whole = place(tmp_path / "whole")
    outcome = STEP.run(whole)
    said = []

    def say(text):
        said.append(text)
        if text.startswith(line):
            raise EndedError

    ended = place(tmp_path / "ended")
    with pytest.raises(EndedError):
        STEP.run(replace(ended, say=say))
    begin_step(ended.folder)
    assert any(entry.name.startswith(RESTART) for entry in ended.folder.iterdir()) == (line == "round 2")
    again = STEP.run(ended)
    weights = [keras.models.load_model(one.folder / MODEL_FILE).get_weights() for one in (whole, ended)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.facts == outcome.facts


def test_what_another_step_left_is_not_taken(tmp_path):
    found = place(tmp_path / "run")
    STEP.run(found)
    other = replace(found, key="another key of this step", seed=4)
    STEP.run(other)
    assert len([one for one in found.folder.iterdir() if one.suffix == ".keras"]) == 5


@pytest.mark.parametrize("fields", [{"fraction": 0.0}, {"fraction": 1.0}, {"rounds": 0}, {"multiple_of": 0}])
def test_fields_out_of_range_are_named(fields):
    with pytest.raises(OptionError, match=next(iter(fields))):
        RemoveChannelsStep(epochs=1, **fields)


def test_data_without_targets_are_refused(tmp_path):
    found = place(tmp_path / "run")
    with pytest.raises(DataError, match="needs targets"):
        replace(STEP, rounds=1).run(replace(found, data=data(y_train=None)))


def test_the_model_as_it_came_teaches_what_is_left_of_it(tmp_path):
    found = place(tmp_path / "run")
    before = found.model_path.read_bytes()
    outcome = replace(STEP, distill=("kd", "hint")).run(found)
    assert {"kd_loss", "hint_loss", "label_loss", "accuracy"} <= set(outcome.facts["history"][-1])
    small = keras.models.load_model(found.folder / MODEL_FILE)
    assert [layer.units for layer in small.layers if isinstance(layer, keras.layers.Dense)] == [2, 3]
    assert found.model_path.read_bytes() == before


def check_that_it_goes_on(step, tmp_path):
    """Ends a step after its first epoch, runs it again, and compares weights with those of a whole run."""
    whole, ended = place(tmp_path / "whole"), place(tmp_path / "ended")
    step.run(whole)

    def say(text):
        if text.startswith("epoch 1/2"):
            raise EndedError

    with pytest.raises(EndedError):
        step.run(replace(ended, say=say))
    step.run(ended)
    models = [keras.models.load_model(one.folder / MODEL_FILE) for one in (whole, ended)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_taught_step_that_is_ended_goes_on_to_the_same_weights(tmp_path):
    check_that_it_goes_on(replace(STEP, distill=("kd",), rounds=1), tmp_path)


def test_an_unknown_loss_is_named_when_the_step_is_made():
    with pytest.raises(UnknownNameError, match="Did you mean 'kd'"):
        replace(STEP, distill=("kdd",))
