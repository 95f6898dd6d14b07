"""A run that fails says where in the recipe, takes nothing away and leaves nothing useless."""

import keras
import numpy as np
import pytest

from tests.recipe.runs import TINY, write_recipe
from tfzip.errors import DataError, MissingDependencyError, ModelError, TfzipError, UnknownNameError
from tfzip.recipe.run_folder import open_run_folder
from tfzip.sandbox import Sandbox

RUN = "tests.recipe.runs:run"
DEMO_MODEL = "tfzip.recipe.demo:digits_model"
HEAD = TINY.partition("\n\n[[steps]]\n")[0]
EVALUATE = HEAD + '\n[[steps]]\nstep = "evaluate"\n'
EXPORT = HEAD + '\n[[steps]]\nstep = "export"\nscheme = "int8"\n'


@pytest.fixture(scope="module")
def child():
    with Sandbox(timeout_s=280) as sandbox:
        yield sandbox


def saved(path, *layers, shape=(8, 8, 1)):
    keras.Sequential([keras.Input(shape), *layers]).save(path)


def missing(path):
    pass


def with_code(path):
    saved(path, keras.layers.Lambda(lambda x: x), keras.layers.Flatten(), keras.layers.Dense(10))


def not_finite(path):
    dense = keras.layers.Dense(10, name="head", bias_initializer=keras.initializers.Constant(np.nan))
    saved(path, keras.layers.Flatten(), dense)


@pytest.mark.parametrize(
    ("write_model", "message"),
    [
        (missing, "There is no model at"),
        (with_code, "Lambda"),
        (not_finite, r"The weights of head/bias are not finite"),
    ],
)
def test_a_model_that_does_not_load_is_blamed_on_its_field_and_leaves_no_folder(
    child, tmp_path, write_model, message
):
    write_model(tmp_path / "model.keras")
    recipe = write_recipe(tmp_path / "tiny.toml", EVALUATE.replace(DEMO_MODEL, "model.keras"))
    with pytest.raises(ModelError, match=rf"tiny\.toml: field 'model': .*{message}"):
        child.call(RUN, recipe, str(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()


def test_a_step_that_fails_is_named_and_leaves_no_folder_where_none_was(child, tmp_path):
    saved(tmp_path / "model.keras", keras.layers.Flatten(), keras.layers.Dense(10), shape=(5, 5, 1))
    recipe = write_recipe(tmp_path / "tiny.toml", EXPORT.replace(DEMO_MODEL, "model.keras"))
    with pytest.raises(TfzipError, match=r"tiny\.toml: step 1 \(export\): ") as caught:
        child.call(RUN, recipe, str(tmp_path / "run"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with pytest.raises(TfzipError):
        child.call(RUN, recipe, str(tmp_path / "run"))
    assert (tmp_path / "run" / "run.json").exists(), "a folder that was there stays"


def test_data_that_does_not_load_is_blamed_on_its_table(child, tmp_path):
    np.savez(tmp_path / "data.npz", x=np.ones((4, 8, 8, 1)))
    recipe = write_recipe(tmp_path / "tiny.toml", EVALUATE.replace("sklearn:digits", "data.npz#x=image"))
    with pytest.raises(DataError, match=r"tiny\.toml: \[data\]: "):
        child.call(RUN, recipe, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_starting_over_takes_nothing_away_until_model_and_data_are_loaded(child, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.toml", EVALUATE)
    folder = tmp_path / "run"
    child.call(RUN, recipe, str(folder))
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    write_recipe(recipe, EVALUATE.replace(DEMO_MODEL, "model.keras"))
    with pytest.raises(ModelError, match="There is no model at"):
        child.call(RUN, recipe, str(folder), fresh=True)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    saved(tmp_path / "model.keras", keras.layers.Flatten(), keras.layers.Dense(10), shape=(5, 5, 1))
    with pytest.raises(DataError, match=r"step 1 \(evaluate\): Evaluation failed: .* fits the model\.$"):
        child.call(RUN, recipe, str(folder), fresh=True)
    assert not (folder / "report.json").exists(), "a report of steps that are gone"
    assert not (folder / "01-evaluate" / "record.json").exists()


@pytest.mark.parametrize("file", ["record.json", "restart.npz"])
def test_a_new_folder_with_work_in_it_stays(tmp_path, file):
    def fail_in(step):
        with open_run_folder(tmp_path / "runs" / "tiny", "tiny"):
            (tmp_path / "runs" / "tiny" / step).mkdir()
            (tmp_path / "runs" / "tiny" / step / file).touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_in("00-source")
    assert not (tmp_path / "runs").exists()
    with pytest.raises(KeyboardInterrupt):
        fail_in("01-train")
    assert (tmp_path / "runs" / "tiny" / "01-train" / file).exists()


@pytest.mark.parametrize(
    "error", [ModelError("no"), MissingDependencyError("no"), UnknownNameError("Step", "a", ["b"])]
)
def test_the_place_begins_the_message_of_every_class_also_after_a_process_border(error):
    import pickle

    message = str(error)
    error.place = "tiny.toml: step 1"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(error) == str(copy) == f"tiny.toml: step 1: {message}"
