"""Recipes and commands that search: what is trained, priced and kept, what goes on, what is refused."""

import json

import keras
import numpy as np
import pytest

import tfzip
from tests.cli.process import tfzip_here
from tests.recipe.test_remove_channels_step import place
from tfzip.errors import ModelError, OptionError, UnknownNameError
from tfzip.nas.spaces import ModelSpace
from tfzip.recipe.searching import TrainedNetworks, _networks
from tfzip.recipe.steps.search import SearchStep
from tfzip.recipe.steps.step import MODEL_FILE

OWN = f"{__name__}:widths"
STEP = SearchStep(
    epochs=2, batch_size=16, learning_rate=0.01, space=OWN, trials=5, constraints={"macs": 100.0}
)


def widths():
    """Returns networks of one inner layer: 4 -> width -> 3."""

    def build(choices):
        if choices["width"] == 13:
            raise ValueError("thirteen")
        dense = keras.layers.Dense
        return keras.Sequential(
            [keras.Input((4,)), dense(choices["width"], "relu", name="in"), dense(3, "softmax", name="out")]
        )

    return ModelSpace(tfzip.Space({"width": tfzip.IntRange(2, 20)}), build)


def test_the_best_takes_the_models_place_with_all_that_was_tried(tmp_path):
    found = place(tmp_path / "run")
    outcome = STEP.run(found)
    facts, model = outcome.facts, keras.models.load_model(found.folder / MODEL_FILE)
    assert model.get_layer("in").units == facts["choices"]["width"] <= 14
    assert facts["metrics"]["macs"] == 7 * facts["choices"]["width"] <= 100
    outputs = model.predict(found.data.x_val, verbose=0)
    assert np.mean(outputs.argmax(-1) == found.data.y_val) == pytest.approx(facts["metrics"]["accuracy"])
    result = tfzip.SearchResult.from_json((found.folder / "search.json").read_text())
    assert len(result.trials) == facts["trials"] == 5
    over = [trial for trial in result.trials if not trial.reason and trial.metrics["macs"] > 100]
    assert all("accuracy" not in trial.metrics for trial in over)  # was not trained
    page = (found.folder / "search.html").read_text()
    assert page.count("<circle") >= 1
    assert "http" not in page
    fresh = keras.models.load_model(found.folder / "untrained.keras")
    assert not np.allclose(fresh.get_weights()[0], model.get_weights()[0])


def test_the_recipe_that_is_left_trains_the_network_from_scratch(tmp_path):
    found = place(tmp_path / "run")
    STEP.run(found)
    path = found.folder / "from_scratch.toml"
    rng = np.random.default_rng(0)
    np.savez(found.folder / "own.npz", x=rng.normal(size=(60, 4)).astype("float32"), y=rng.integers(0, 3, 60))
    path.write_text(path.read_text().replace('source = "..."', 'source = "own.npz"'))
    report = tfzip.run_recipe(path, tmp_path / "again", say=lambda line: None)
    assert report.file.exists()


def test_an_interrupted_search_goes_on(tmp_path, monkeypatch):
    found, trained = place(tmp_path / "run"), []
    fit = TrainedNetworks._fit

    def ended(self, choices, *others):
        if len(trained) == 1:
            trained.append(None)
            raise KeyboardInterrupt
        trained.append(choices)
        return fit(self, choices, *others)

    monkeypatch.setattr(TrainedNetworks, "_fit", ended)
    with pytest.raises(KeyboardInterrupt):
        STEP.run(found)
    first = STEP.run(found).facts
    monkeypatch.undo()
    whole = STEP.run(place(tmp_path / "other")).facts
    assert first == whole


def test_a_best_that_was_trained_elsewhere_is_trained_again(tmp_path):
    found, lines = place(tmp_path / "run"), []
    facts = STEP.run(found).facts
    (found.folder / MODEL_FILE).unlink()
    for path in found.folder.glob("restart.*.keras"):
        path.unlink()
    object.__setattr__(found, "say", lines.append)
    assert STEP.run(found).facts == facts
    assert any("trained here once more" in line for line in lines)
    assert (found.folder / MODEL_FILE).exists()


def test_networks_inherit_and_are_taught(tmp_path):
    found = place(tmp_path / "run")
    step = SearchStep(epochs=1, space=OWN, trials=3, inherit=True, distill=("kd",), stopper=None)
    assert step.run(found).facts["trials"] == 3


def test_files_are_priced_and_times_are_predicted_then_measured(tmp_path, monkeypatch):
    found, asked = place(tmp_path / "run"), []
    measure = TrainedNetworks._measure

    def cheap(self, names, model):
        if "latency_ms" in names:
            asked.append(model)
            return {"latency_ms": model.layers[0].units / 10.0}
        return measure(self, names, model)

    monkeypatch.setattr(TrainedNetworks, "_measure", cheap)
    step = SearchStep(
        epochs=1,
        space=OWN,
        trials=2,
        predict_from=20,
        finalists=1,
        constraints={"latency_ms": 1.9, "file_bytes": 9e9},
    )
    outcome = step.run(found)
    assert outcome.facts["predicted"] == {}
    assert outcome.facts["metrics"]["latency_ms"] == outcome.facts["choices"]["width"] / 10
    assert len(asked) == 21  # and the finalist
    assert outcome.facts["metrics"]["file_bytes"] > 500


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"trials": 0}, OptionError, "trials is at least 1"),
        ({"maximize": ()}, OptionError, "at least one metric"),
        ({"constraints": {"mac": 1.0}}, UnknownNameError, "Did you mean 'macs'"),
        ({"strategy": tfzip.nas.strategies.GradientStrategy()}, OptionError, "needs a supernet"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields, kind, message):
    with pytest.raises(kind, match=message):
        SearchStep(epochs=1, **fields)


def test_spaces_that_do_not_fit_are_named(tmp_path):
    found = place(tmp_path / "run")
    with pytest.raises(OptionError, match="no ready space 'mobile'"):
        _networks(SearchStep(epochs=1, space="mobile"), found)
    with pytest.raises(OptionError, match="does not take these options"):
        _networks(SearchStep(epochs=1, space="resnet", space_options={"wide": 3}), found)
    with pytest.raises(ModelError, match="has no function 'width'"):
        _networks(SearchStep(epochs=1, space=f"{__name__}:width"), found)


def test_the_command_searches_goes_on_and_says_where_things_are(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=rng.normal(size=(60, 4)).astype("float32"), y=rng.integers(0, 3, 60))
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        f'model = "{OWN.partition(":")[0]}:start"\ndata = "own.npz"\n[[steps]]\nstep = "search"\nepochs = 1\n'
        f'trials = 2\nspace = "{OWN}"\n'
    )
    out = str(tmp_path / "out")
    done = tfzip_here("search", str(recipe), "--output", out, "--json")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    assert first["trials"] == 2
    more = tfzip_here("search", str(recipe), "--output", out, "--trials", "3")
    assert more.returncode == 0, more.stderr
    assert "the best of 3 networks" in more.stdout
    assert "trial 3 of 3" in more.stderr
    assert "trial 2 of 3" not in more.stderr
    none = tmp_path / "none.toml"
    none.write_text(
        recipe.read_text().replace(
            'step = "search"\nepochs = 1\ntrials = 2\nspace = "' + OWN + '"', 'step = "export"'
        )
    )
    refused = tfzip_here("search", str(none))
    assert refused.returncode == 1
    assert 'has no step = "search"' in refused.stderr


def start():
    """Returns the model of the command's recipe."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
