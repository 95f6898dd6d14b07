"""Recipes and commands in which a student is trained by the model so far."""

import json
from dataclasses import replace

import keras
import pytest

from tests.cli.process import tfzip_here
from tests.recipe.test_remove_channels_step import check_that_it_goes_on, place
from tests.recipe.test_training import small_model
from tfzip.errors import ModelError, OptionError, UnknownNameError
from tfzip.recipe.steps.distill import DistillStep
from tfzip.recipe.steps.step import MODEL_FILE

STEP = DistillStep(epochs=2, batch_size=16, width=0.5)


def narrow_model():
    """Returns a student for the teacher of these tests."""
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(3, "softmax")]
    )


def test_a_student_is_cut_from_the_model_and_takes_its_place(tmp_path):
    found = place(tmp_path / "run")
    outcome = STEP.run(found)
    student = keras.models.load_model(found.folder / MODEL_FILE)
    assert student.count_params() < small_model().count_params()
    assert outcome.model == MODEL_FILE
    assert {"kd_loss", "label_loss"} <= set(outcome.facts["history"][-1])
    assert outcome.facts["parameters"]["student"] == student.count_params()


def test_a_student_of_ones_own_is_made_by_a_function_or_read_from_a_file(tmp_path):
    narrow_model().save(tmp_path / "student.keras")
    for index, spec in enumerate((f"{__name__}:narrow_model", str(tmp_path / "student.keras"))):
        found = place(tmp_path / str(index))
        replace(STEP, student=spec, width=1.0).run(found)
        assert keras.models.load_model(found.folder / MODEL_FILE).layers[0].units == 3


def test_a_student_that_is_ended_goes_on_to_the_same_weights(tmp_path):
    own = f"{__name__}:narrow_model"
    check_that_it_goes_on(replace(STEP, student=own, width=1.0, distill=("kd", "mse")), tmp_path)


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"width": 1.0}, OptionError, "one of them below 1"),
        ({"width": 0.0}, OptionError, "width above 0"),
        ({"distill": ()}, OptionError, "at least one loss"),
        ({"distill": ("kdd",)}, UnknownNameError, "Did you mean 'kd'"),
        ({"distill_weights": (1.0, 2.0)}, OptionError, "a number for each"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields, kind, message):
    with pytest.raises(kind, match=message):
        replace(STEP, **fields)


def test_a_teacher_without_residual_blocks_cannot_lose_depth(tmp_path):
    with pytest.raises(ModelError, match="no residual block"):
        replace(STEP, width=1.0, depth=0.5).run(place(tmp_path / "run"))


def test_the_command_trains_and_writes_a_student(tmp_path):
    from tfzip.recipe.demo import digits_model

    digits_model().save(tmp_path / "teacher.keras")
    target = tmp_path / "student.keras"
    done = tfzip_here(
        *("distill", str(tmp_path / "teacher.keras"), "-o", str(target), "--width", "0.5"),
        *("--data", "sklearn:digits", "--epochs", "1", "--json"),
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["macs"]["student"] < facts["macs"]["teacher"] / 2
    assert keras.models.load_model(target).count_params() == facts["parameters"]["student"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["student.keras", "teacher.keras"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--width", "1"), "one of them below 1"),
        (("--width", "0.5", "--distill", "kdd"), "Did you mean 'kd'"),
        (("--student", "nowhere.keras"), "nowhere.keras"),
    ],
)
def test_bad_options_of_the_command_are_one_line_and_write_nothing(options, words, tmp_path):
    small_model().save(tmp_path / "teacher.keras")
    done = tfzip_here(
        "distill",
        str(tmp_path / "teacher.keras"),
        "-o",
        str(tmp_path / "s.keras"),
        "--data",
        "sklearn:digits",
        *options,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error")]) == 1
    assert not (tmp_path / "s.keras").exists()
