"""The step that trains for integers leaves ranges that the export uses, also after an interruption."""

import typing

import keras
import numpy as np
import pytest

from tests.recipe.runs import TINY, write_recipe
from tests.recipe.test_training import KilledError, KillInEpoch, small_model, work
from tfzip.errors import RecipeError
from tfzip.quantization.observers import MinMaxObserver
from tfzip.quantization_record import record_of
from tfzip.recipe.loading import load_recipe
from tfzip.recipe.steps.export import ExportStep
from tfzip.recipe.steps.quantize import QuantizeStep
from tfzip.recipe.training import fit
from tfzip.runtime import open_session
from tfzip.sandbox import Sandbox
from tfzip.schemes import SCHEMES
from tfzip.sources.models import load_model

QUANTIZE = """
[[steps]]
step = "quantize"
epochs = 2
batch_size = 128
scheme = "int8"
observer = "min_max"
freeze_statistics = 2

[[steps]]
step = "export"
scheme = "int8"
calibration_samples = 1
"""


def test_the_step_is_read_with_its_observer(tmp_path):
    head = TINY.partition("[[steps]]")[0]
    recipe = load_recipe(write_recipe(tmp_path / "q.toml", head + QUANTIZE))
    assert recipe.steps[0] == QuantizeStep(
        epochs=2, batch_size=128, observer=MinMaxObserver(), freeze_statistics=2
    )


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('scheme = "float32"', "field 'scheme': expected 'int8' or"),
        ('observer = "min_mx"', "Did you mean 'min_max'"),
        ("start = 2", "start is an epoch from 0 to 1. Received: 2."),
    ],
)
def test_a_field_out_of_range_is_refused_at_load(tmp_path, field, message):
    text = TINY.partition("[[steps]]")[0] + f'[[steps]]\nstep = "quantize"\nepochs = 2\n{field}\n'
    with pytest.raises(RecipeError, match=message):
        load_recipe(write_recipe(tmp_path / "q.toml", text))


def test_every_scheme_of_the_table_can_be_exported():
    hints = typing.get_type_hints(ExportStep)
    assert set(typing.get_args(hints["scheme"])) == set(SCHEMES)


def test_the_file_has_the_ranges_learned_in_training(tmp_path):
    head = TINY.partition("[[steps]]")[0]
    recipe = write_recipe(tmp_path / "q.toml", head + QUANTIZE)
    with Sandbox(timeout_s=200) as child:
        report, _ = child.call("tests.recipe.runs:run", recipe, str(tmp_path / "run"))
    facts = report.steps[0].facts
    scales = [spec.scale for spec in open_session(report.file).tensors().values() if spec.scale]
    assert len(facts["ranges"]) > 3
    for low, high in facts["ranges"].values():
        assert np.isclose((high - low) / 255, scales, rtol=1e-6).any()
    assert facts["history"][1]["loss"] < facts["history"][0]["loss"]


def test_a_training_that_was_interrupted_starts_over_and_ends_the_same(tmp_path):
    plan, folders = (
        QuantizeStep(epochs=2, batch_size=16, learning_rate=0.01),
        [tmp_path / "a", tmp_path / "b"],
    )
    small_model().save(tmp_path / "m.keras")
    for folder in folders:
        folder.mkdir()
    with pytest.raises(KilledError):
        fit(small_model(), plan, work(folders[1]), [KillInEpoch(1)])
    assert (folders[1] / "restart.npz").exists()
    ends = []
    for folder in folders:
        keras.utils.set_random_seed(3)  # as a run does before each step
        plan.run(work(folder, model_path=tmp_path / "m.keras"))
        ends.append(load_model(folder / "model.keras"))
    for variable, other in zip(ends[0].variables, ends[1].variables, strict=True):
        np.testing.assert_array_equal(variable, other)
    assert record_of(ends[0]).ranges == record_of(ends[1]).ranges
    assert (
        len(record_of(ends[0]).ranges) == 6
    )  # input, dense, product and sum of the normalization, logits, softmax
