"""A recipe trains with shared weights, and a wrong field is said before anything runs."""

import pytest

from tests.recipe.runs import write_recipe
from tfzip.errors import RecipeError
from tfzip.recipe.loading import load_recipe
from tfzip.sandbox import Sandbox

RECIPE = """
name = "shared"
seed = 5
model = "tfzip.recipe.demo:digits_model"
data = "sklearn:digits"

[[steps]]
step = "cluster"
clusters = 8
epochs = 1
batch_size = 128
"""


def test_the_step_shares_weights_and_lists_the_kernels(tmp_path):
    recipe = write_recipe(tmp_path / "shared.toml", RECIPE)
    with Sandbox(timeout_s=280) as child:
        report, _ = child.call("tests.recipe.runs:run", recipe, str(tmp_path / "run"))
    facts = report.steps[0].facts
    assert {kernel["values"] for kernel in facts["clustering"]["kernels"]} == {8}
    assert facts["history"][0]["loss"] > 0


def test_a_number_of_clusters_out_of_range_names_the_step(tmp_path):
    recipe = write_recipe(tmp_path / "wrong.toml", RECIPE.replace("clusters = 8", "clusters = 1"))
    with pytest.raises(RecipeError, match=r"step 1 \(cluster\).*from 3 to 256. Received: 1"):
        load_recipe(recipe)
