"""Every recipe that comes with tfzip loads, and the one on digits runs from end to end."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.process import tfzip
from tests.recipe.runs import write_recipe
from tfzip.recipe.demo import DIGITS_RECIPE
from tfzip.recipe.loading import load_recipe

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipe_loads_and_says_what_it_is_for(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert path.read_text().startswith("# ")


def test_the_demo_runs_the_recipe_of_the_same_name():
    assert (
        Path(__file__).parent.parent / "recipes" / "digits_demo.toml"
    ).read_text() == DIGITS_RECIPE.read_text()


def test_the_digits_recipe_runs_from_end_to_end(tmp_path):
    text = re.sub(r"epochs = \d+", "epochs = 2", DIGITS_RECIPE.read_text()).replace("runs = 200", "runs = 20")
    recipe = write_recipe(tmp_path / "digits.toml", text + "launches = 2\n")
    done = tfzip("run", recipe, "--output", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "before and after" in done.stdout
    assert str(tmp_path / "run" / "report.md") in done.stdout.replace("\n", "")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    rows = {row[0]: row[1:] for row in report["table"]}
    assert {"size", "accuracy, test split", "latency, 1 thread", "zeros in kernels"} <= set(rows)
    assert rows["zeros in kernels"][1] == "60.00 %"
    assert (tmp_path / "run" / report["files"][-1]).exists()
    assert (tmp_path / "run" / "07-benchmark" / "benchmark.json").exists()
    assert done.stderr == ""
