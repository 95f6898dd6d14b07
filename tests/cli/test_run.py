"""`tfzip run` and `tfzip demo`: errors of one line, nothing written by them, options passed on."""

import json

import pytest
from click.testing import CliRunner

from tests.cli.process import tfzip
from tests.recipe.runs import TINY, write_recipe
from tfzip.cli import run
from tfzip.cli.demo import command as demo

EVALUATE = TINY.partition("\n\n[[steps]]\n")[0] + '\n[[steps]]\nstep = "evaluate"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no recipe"),
        (TINY.replace('"train"', '"trian"'), "Did you mean 'train'"),
        (TINY.replace("epochs = 3", "epochs = 0"), "above 0"),
    ],
)
def test_a_bad_recipe_is_one_line_and_writes_nothing(tmp_path, text, message):
    path = tmp_path / "tiny.toml"
    if text is not None:
        write_recipe(path, text)
    done = tfzip("run", str(path), cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_a_missing_model_is_one_line(tmp_path):
    recipe = write_recipe(
        tmp_path / "tiny.toml", TINY.replace("tfzip.recipe.demo:digits_model", "model.keras")
    )
    done = tfzip("run", recipe, cwd=tmp_path)
    assert done.returncode == 1
    assert "There is no model at" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_json_is_alone_on_standard_output_and_the_folder_is_below_runs(tmp_path):
    done = tfzip("run", write_recipe(tmp_path / "tiny.toml", EVALUATE), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["name"] == "tiny"
    assert report["steps"][0]["facts"]["metric"] == "accuracy"
    assert "[1/1] evaluate" in done.stderr
    assert (tmp_path / "runs" / "tiny" / "report.json").exists()


def test_stopping_a_run_says_how_to_go_on(tmp_path, monkeypatch):
    import tfzip.recipe.running

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(tfzip.recipe.running, "run_recipe", stop)
    monkeypatch.setattr(run, "import_quietly", lambda: None)
    result = CliRunner().invoke(run.command, [write_recipe(tmp_path / "tiny.toml", EVALUATE)])
    assert result.exit_code == 130
    assert "The same command goes on" in result.output


def test_the_demo_names_its_folder():
    result = CliRunner().invoke(demo, ["--help"])
    assert "runs/digits_demo" in result.output
