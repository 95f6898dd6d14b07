"""Recipes and commands in which a student is trained by the model so far."""

import json
from dataclasses import replace

import keras
import pytest

from tests.cli.process import tfzip_here
from tests.recipe.test_remove_channels_step import check_that_it_goes_on, place
from tests.recipe.test_training import small_model
from tfzip.cli.fit_options import in_words_of_options, losses_of
from tfzip.distillation.losses import HintLoss, KdLoss
from tfzip.errors import ModelError, OptionError, RecipeError, UnknownNameError
from tfzip.recipe.loading import load_recipe
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


def logits_model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(3)])


def unbuilt_model():
    return keras.Sequential([keras.layers.Dense(3, "softmax")])


@pytest.mark.parametrize("own", ["narrow_model", "logits_model"])
def test_a_teacher_with_logits_teaches_students_with_either_end(tmp_path, own):
    found = place(tmp_path / "run")
    small_model(activation=None).save(found.model_path)
    step = replace(STEP, student=f"{__name__}:{own}", width=1.0, from_logits=own == "logits_model")
    history = step.run(found).facts["history"]
    assert all(0 <= logs["kd_loss"] < 1 for logs in history)


def test_losses_have_fields_in_recipes(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'model = "tfzip.recipe.demo:digits_model"\ndata = "sklearn:digits"\n[[steps]]\nstep = "distill"\n'
        'epochs = 2\ndistill = [{ name = "kd", temperature = 2.0 }, "hint"]\ndistill_weights = [0.5, 1.0]\n'
    )
    recipe = load_recipe(file)
    assert recipe.steps[0].distill == (KdLoss(temperature=2.0), HintLoss())
    assert recipe.resolved()["steps"][0]["distill"][0]["temperature"] == 2.0
    file.write_text(file.read_text().replace("temperature", "temprature"))
    with pytest.raises(RecipeError, match="Did you mean 'temperature'"):
        load_recipe(file)


def test_a_student_that_is_not_built_is_refused(tmp_path):
    step = replace(STEP, student=f"{__name__}:unbuilt_model", width=1.0)
    with pytest.raises(ModelError, match="is not built"):
        step.run(place(tmp_path / "run"))


def test_losses_have_fields_on_the_command_line():
    assert losses_of(None, None, ("kd:temperature=2,output=head", "hint")) == (
        KdLoss(temperature=2, output="head"),
        HintLoss(),
    )
    for text, message in (("kd:temperature", "such as kd:temperature=2"), ("kd:heat=2", "no field 'heat'")):
        with pytest.raises(OptionError, match=message):
            losses_of(None, None, (text,))


def test_errors_of_commands_name_their_options(tmp_path):
    step = replace(STEP, student=f"{__name__}:logits_model", width=1.0)
    with pytest.raises(OptionError, match="expects probabilities. Pass --from-logits"), in_words_of_options():
        step.run(place(tmp_path / "run"))
    step = replace(STEP, student=f"{__name__}:narrow_model", width=1.0, from_logits=True)
    with pytest.raises(OptionError, match="Leave out --from-logits"), in_words_of_options():
        step.run(place(tmp_path / "other"))


def test_the_command_takes_fields_and_weights(tmp_path):
    from tfzip.recipe.demo import digits_model

    digits_model().save(tmp_path / "teacher.keras")
    target = tmp_path / "student.keras"
    options = ("--distill", "kd:temperature=2", "--distill-weight", "0", "--label-weight", "0")
    done = tfzip_here(
        *("distill", str(tmp_path / "teacher.keras"), "-o", str(target), *options),
        *("--data", "sklearn:digits", "--epochs", "1", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["history"][-1]["loss"] == 0
