"""A recipe is refused at load, with the file, the step, the field, the near name, expected and received."""

from pathlib import Path

import pytest

from tfzip.errors import RecipeError
from tfzip.pruning.schedules import CosineSchedule
from tfzip.recipe.loading import load_recipe
from tfzip.recipe.recipe import config_of
from tfzip.recipe.steps import steps
from tfzip.recipe.steps.prune import PruneStep
from tfzip.recipe.steps.train import TrainStep

HEAD = 'model = "tfzip.recipe.demo:digits_model"\ndata = "sklearn:digits"\n'


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "mine.toml"
        file.write_text(text)
        return file

    return write


def test_a_recipe_has_its_names_and_every_default(write):
    recipe = load_recipe(write(HEAD + 'seed = 3\n[[steps]]\nstep = "train"\nepochs = 2\n'))
    assert (recipe.name, recipe.seed, recipe.data.source) == ("mine", 3, "sklearn:digits")
    assert recipe.steps == (TrainStep(epochs=2),)
    assert recipe.resolved()["steps"][0]["batch_size"] == 64


def test_strategies_are_built_from_tables_and_from_names(write):
    text = """
[[steps]]
step = "prune"
epochs = 2
schedule = { name = "cosine", sparsity = 0.7 }
criterion = "l2"
layers = ["conv*"]
window = { end = 1.5 }
"""
    (step,) = load_recipe(write(HEAD + text)).steps
    assert isinstance(step, PruneStep)
    assert step.schedule == CosineSchedule(0.7)
    assert type(step.criterion).__name__ == "L2Criterion"
    assert step.layers == ("conv*",)
    assert step.window.end == 1.5
    assert config_of(step)["schedule"] == {"type": "CosineSchedule", "sparsity": 0.7, "initial": 0.0}


def test_whole_numbers_are_accepted_where_a_number_is_expected(write):
    (step,) = load_recipe(write(HEAD + '[[steps]]\nstep = "train"\nepochs = 1\nlearning_rate = 1\n')).steps
    assert step.learning_rate == 1.0
    assert isinstance(step.learning_rate, float)


def test_places_know_variables_and_are_relative_to_the_recipe(write, monkeypatch, tmp_path):
    monkeypatch.setenv("TFZIP_DATA", "/somewhere")
    monkeypatch.setenv("MODELS", "models")
    train = '[[steps]]\nstep = "train"\nepochs = 1\n'
    text = 'model = "$TFZIP_DATA/a.keras"\ndata = "digits.npz#train"\n' + train
    recipe = load_recipe(write(text))
    assert recipe.model == "/somewhere/a.keras"
    assert recipe.data.source == str(tmp_path / "digits.npz#train")
    text = 'model = "${MODELS}/a.keras"\ndata = "keras:cifar10"\n' + train
    assert load_recipe(write(text)).model == str(tmp_path / "models" / "a.keras")


STEP = HEAD + "[[steps]]\n"
TRAIN = STEP + 'step = "train"\nepochs = 1\n'
BAD = {
    "not TOML": ("model = ", r"mine\.toml is not valid TOML: "),
    "no model": ('data = "sklearn:digits"\n' + TRAIN.removeprefix(HEAD), "field 'model' is missing"),
    "no data": (
        'model = "a.keras"\n' + TRAIN.removeprefix(HEAD),
        r"field 'data': expected a string or a \[data\]",
    ),
    "no steps": (HEAD, r"at least one \[\[steps\]\]"),
    "unknown top name": ("sede = 1\n" + TRAIN, r"mine\.toml: unknown name 'sede'\. Did you mean 'seed'"),
    "wrong top type": ('seed = "1"\n' + TRAIN, "'seed': expected a whole number, received a string, '1'"),
    "negative seed": ("seed = -1\n" + TRAIN, "expected 0 or more, received -1"),
    "name with a slash": ('name = "../x"\n' + TRAIN, "characters that a file name may not have"),
    "unknown step": (STEP + 'step = "trian"\n', r"step 1, field 'step': .*Did you mean 'train'"),
    "step without name": (STEP + "epochs = 1\n", "step 1: expected a table with step = one of"),
    "unknown field": (
        TRAIN + "epoch = 2\n",
        r"step 1 \(train\): unknown field 'epoch'\. Did you mean 'epochs'",
    ),
    "missing field": (STEP + 'step = "train"\n', r"step 1 \(train\): field 'epochs' is missing"),
    "wrong type": (
        TRAIN.replace("epochs = 1", 'epochs = "two"'),
        r"step 1 \(train\), field 'epochs': expected a whole number, received a string, 'two'",
    ),
    "true is no number": (
        TRAIN + "batch_size = true\n",
        "'batch_size': expected a whole number, received true or",
    ),
    "not finite": (
        TRAIN + "learning_rate = nan\n",
        "'learning_rate': expected a number, received a number, nan",
    ),
    "out of range": (TRAIN.replace("= 1", "= 0"), r"step 1 \(train\): epochs is above 0\. Received: 0"),
    "unknown choice": (
        TRAIN + 'optimizer = "adma"\n',
        "'optimizer': expected 'adam' or .*Did you mean 'adam'",
    ),
    "unknown strategy": (
        TRAIN.replace("train", "prune") + 'schedule = "polinomial"\n',
        r"step 1 \(prune\), field 'schedule': .*Did you mean 'polynomial'",
    ),
    "unknown field of a strategy": (
        TRAIN.replace("train", "prune") + 'schedule = { name = "cosine", sparsty = 0.5 }\n',
        r"field 'schedule' \(cosine\): unknown field 'sparsty'\. Did you mean 'sparsity'",
    ),
    "wrong type in a strategy": (
        TRAIN.replace("train", "prune") + 'schedule = { name = "cosine", sparsity = "half" }\n',
        r"\(cosine\), field 'sparsity': expected a number, received a string, 'half'",
    ),
    "strategy out of range": (
        TRAIN.replace("train", "prune") + 'schedule = { name = "cosine", sparsity = 60 }\n',
        r"field 'schedule' \(cosine\): .*0\.6 for 60 %",
    ),
    "strategy without a name": (
        TRAIN.replace("train", "prune") + "schedule = { sparsity = 0.5 }\n",
        "'schedule': expected a schedule .*or a table with its name",
    ),
    "wrong item": (
        TRAIN.replace("train", "prune") + 'layers = ["a", 3]\n',
        "'layers', item 2: expected a string, received a whole number, 3",
    ),
    "table field": (
        TRAIN.replace("train", "prune") + "window = { en = 3 }\n",
        "'window': unknown field 'en'. Did you mean 'end'",
    ),
    "no file to compare": (
        TRAIN + '[[steps]]\nstep = "compare"\n',
        r"step 2 \(compare\) works on an exported file",
    ),
    "unknown data": (
        TRAIN.replace("sklearn:digits", "sklearn:digits#tset"),
        r"\[data\], field 'source': .*Did you mean 'test'",
    ),
    "data that is nowhere": (TRAIN.replace("sklearn:digits", "nowhere"), r"\[data\].*There is no data"),
    "bad data option": (
        'model = "a.keras"\n[data]\nsource = "sklearn:digits"\nval_fraction = 2.0\n'
        + TRAIN.removeprefix(HEAD),
        r"\[data\]: val_fraction is in \[0, 1\)",
    ),
    "unset variable": (TRAIN.replace("tfzip.", "$NOT_SET_HERE/"), "NOT_SET_HERE .*is not set"),
    "data is a number": ('model = "a.keras"\ndata = 3\n' + TRAIN.removeprefix(HEAD), "received 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recipe_says_where_and_what(write, name):
    text, message = BAD[name]
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(write(text))
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_suggests_the_near_file(write):
    file = write(TRAIN)
    with pytest.raises(RecipeError, match=r"no recipe .*mine\.tml\. Did you mean 'mine\.toml'"):
        load_recipe(file.with_suffix(".tml"))


def test_what_is_not_text_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="not text in UTF-8"):
        load_recipe(tmp_path / "mine.toml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)


@pytest.mark.parametrize("name", list(steps))
def test_every_step_documents_its_fields(name):
    import dataclasses

    cls = steps.type_of(name)
    documented = "".join(base.__doc__ or "" for base in cls.__mro__)
    for field in dataclasses.fields(cls):
        assert f"{field.name}:" in documented, f"{name} does not document {field.name}"


def test_a_recipe_may_lie_anywhere(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.toml").write_text('model = "m.keras"\n' + TRAIN.split("\n", 1)[1])
    monkeypatch.chdir(tmp_path)
    assert load_recipe("sub/mine.toml").model == str(Path("sub") / "m.keras")
