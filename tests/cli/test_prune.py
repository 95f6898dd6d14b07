"""`tfzip groups` and `tfzip prune` as they are typed."""

import json

import keras
import pytest

from tests.cli.process import tfzip
from tests.graph.channel_zoo import built


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    from tfzip.recipe.demo import digits_model

    digits_model().save(path)
    return path


def test_groups_are_listed(model):
    done = tfzip("groups", str(model))
    assert done.returncode == 0, done.stderr
    names = [layer.name for layer in keras.models.load_model(model).layers if hasattr(layer, "kernel")]
    assert all(name in done.stdout for name in names)
    assert "returned by the model" in done.stdout


def test_groups_are_listed_as_json_with_every_slice(tmp_path):
    built("residual_with_the_input").save(tmp_path / "m.keras")
    done = tfzip("groups", str(tmp_path / "m.keras"), "--json")
    found = json.loads(done.stdout)
    assert found["barriers"] == {"add": "it joins them with channels that stay"}
    fields = {"path", "kind", "weight", "axis", "offset", "repeat", "role"}
    assert fields == set(found["groups"][0]["slices"][0])


def test_a_model_is_pruned_and_trained_on(model, tmp_path):
    out = tmp_path / "small.keras"
    done = tfzip(
        *("prune", str(model), "-o", str(out), "--fraction", "0.5", "--criterion", "taylor"),
        *("--data", "sklearn:digits", "--finetune-epochs", "1", "--batch-size", "128"),
    )
    assert done.returncode == 0, done.stderr
    assert "MACs" in done.stdout
    assert "last epoch" in done.stdout
    assert keras.models.load_model(out).count_params() < keras.models.load_model(model).count_params() / 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.keras"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fraction", "1.5"), "between 0 and 1"),
        (("--criterion", "taylor"), "--data"),
        (("--finetune-epochs", "2"), "--data"),
        (("--criterion", "tailor"), "Did you mean 'taylor'"),
        (("--layers", "nope"), "matches no layer"),
    ],
)
def test_bad_options_are_one_line_and_write_nothing(model, tmp_path, options, words):
    done = tfzip("prune", str(model), "-o", str(tmp_path / "small.keras"), *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(model, tmp_path):
    done = tfzip("prune", str(model), "-o", str(tmp_path / "small.tflite"))
    assert done.returncode == 1
    assert ".keras" in done.stderr
