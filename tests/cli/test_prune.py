"""`tfzip groups` and `tfzip prune` as they are typed."""

import json

import keras
import pytest

from tests.cli.process import tfzip_here as tfzip
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
        (("--rounds", "3"), "--rounds is about the training that follows. Pass --finetune-epochs"),
        (("--distill", "kd"), "--distill is about the training"),
        (("--criterion", "taylor", "--data", "keras:cifar10"), "fit the model"),
    ],
)
def test_bad_options_are_one_line_and_write_nothing(model, tmp_path, options, words):
    done = tfzip("prune", str(model), "-o", str(tmp_path / "small.keras"), *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line
    assert not list(tmp_path.iterdir())


def test_the_model_itself_is_not_overwritten(model, tmp_path):
    before = model.read_bytes()
    (tmp_path / "link.keras").symlink_to(model)
    for output in (model, tmp_path / "link.keras"):
        done = tfzip("prune", str(model), "-o", str(output))
        assert done.returncode == 1
        assert "is the model itself" in done.stderr
    assert model.read_bytes() == before


def test_another_ending_is_refused(model, tmp_path):
    done = tfzip("prune", str(model), "-o", str(tmp_path / "small.tflite"))
    assert done.returncode == 1
    assert ".keras" in done.stderr


def test_a_scan_is_written_drawn_and_used(model, tmp_path):
    scan, picture, out = (str(tmp_path / name) for name in ("scan.json", "scan.svg", "small.keras"))
    rows = ("--data", "sklearn:digits", "--samples", "64")
    done = tfzip(
        *("sensitivity", str(model), "--prune", *rows, "--ratios", "0.5"),
        *("--output", scan, "--plot", picture),
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    done = tfzip(
        "prune", str(model), "-o", out, "--criterion", "sensitivity", "--scope", "global", "--scan", scan
    )
    assert done.returncode == 0, done.stderr
    assert keras.models.load_model(out).count_params() < keras.models.load_model(model).count_params()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--prune", "--bits", "4"), "--bits is for a scan of widths"),
        (("--ratios", "0.5"), "--ratios is for a scan of channels"),
        (("--prune", "--ratios", "half"), "numbers with commas"),
        (("--prune", "--ratios", "0.5,0.2"), "have to rise"),
        (("--prune", "--plot", "scan.bmp"), "A plot ends in"),
        (("--prune", "--output", "/nowhere/scan.json"), "There is no folder"),
        (("--prune", "--samples", "0"), "at least 1"),
    ],
)
def test_a_wrong_scan_is_one_line(model, options, words):
    done = tfzip("sensitivity", str(model), "--data", "sklearn:digits", *options)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]
