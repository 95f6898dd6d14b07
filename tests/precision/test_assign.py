"""Budgets, the widths within them, and the files that come of it."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from tfzip.cli.convert import command
from tfzip.conversion.export import export
from tfzip.errors import OptionError
from tfzip.precision import LatencyBudget, SizeBudget
from tfzip.precision.assign import assign_precision
from tfzip.precision.budget import parse_bytes
from tfzip.precision.costs import CostTable, LayerCost, measure_costs
from tfzip.precision.mixed import export_within_spec
from tfzip.precision.sensitivity import sensitivity
from tfzip.precision.sizes import measure_sizes
from tfzip.recipe.steps.export import ExportStep
from tfzip.schemes import get_scheme
from tfzip.tflite import read

NARROWABLE = ("stem", "body", "hidden", "head")


@pytest.fixture(scope="module")
def scan(network, images):
    return sensitivity(network, images)


@pytest.fixture(scope="module")
def all_sizes(network, scan):
    return measure_sizes(network, get_scheme("int8_weights"), scan.layers)


def types_by_elements(path):
    """Returns the types of a file's weights by their number of elements, which tells this network's apart."""
    tensors = [tensor for graph in read(path).subgraphs for tensor in graph.tensors if len(tensor.shape) > 1]
    return {tensor.num_elements: tensor.dtype for tensor in tensors if tensor.is_constant}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (65_632, 65_632),
        ("65632", 65_632),
        ("65KB", 65_000),
        ("65 kB", 65_000),
        ("64KiB", 65_536),
        ("1.5MB", 1_500_000),
        ("0.5 MiB", 524_288),
        ("2gb", 2_000_000_000),
        ("900B", 900),
    ],
)
def test_sizes_are_read_in_every_spelling(text, expected):
    assert parse_bytes(text) == expected
    assert SizeBudget(text).limit_bytes == expected


@pytest.mark.parametrize("text", ["65KX", "", "-3KB", "0", 0, True, None, 1.5])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(OptionError, match="A size is a number of bytes"):
        SizeBudget(text)


def test_a_time_is_above_zero():
    with pytest.raises(OptionError, match="above 0"):
        LatencyBudget(0.0, CostTable("here", 1.0, ()))


def test_transposed_convolutions_stay_wide(all_sizes):
    assert set(all_sizes.saved) == set(NARROWABLE)
    assert all_sizes.saved["hidden"] == 800 - 400  # 792 weights, in whole blocks of 16 bytes


def test_every_prediction_of_a_size_is_near_the_file(network, all_sizes, scan):
    assert all_sizes.predict(dict.fromkeys(scan.layers, 8)) == all_sizes.wide_bytes
    assert abs(all_sizes.predict(dict.fromkeys(scan.layers, 4)) - all_sizes.narrow_bytes) <= 64


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_the_file_is_within_the_budget_and_has_the_widths(network, images, scan, all_sizes, share, tmp_path):
    limit = int(all_sizes.narrow_bytes + share * (all_sizes.wide_bytes - all_sizes.narrow_bytes))
    found = assign_precision(network, images, limit, scheme="int8_weights", scan=scan)
    artifact = export(network, tmp_path / "mixed.tflite", scheme=found.scheme)
    assert artifact.size_bytes == found.size_bytes <= limit
    assert abs(found.size_bytes - found.predicted_bytes) <= 64
    assert found.kept == ("up",)
    elements = {"stem": 432, "up": 1728, "body": 2592, "hidden": 792, "head": 165}
    types = types_by_elements(artifact.path)
    for layer, bits in found.widths.items():
        assert types[elements[layer]] == f"int{bits}", layer
    assert 4 in found.widths.values()


def test_a_wide_budget_keeps_eight_bits(network, images, scan):
    found = assign_precision(network, images, "1MB", scheme="int8_weights", scan=scan)
    assert set(found.widths.values()) == {8}
    assert found.warnings == ()


def test_an_integer_file_is_calibrated_on_the_data(network, images, scan, tmp_path):
    found = assign_precision(network, images, "10.6KB", scan=scan, io="float32")
    again = export(network, tmp_path / "mixed.tflite", scheme=found.scheme, calibration=images, io="float32")
    assert again.size_bytes == found.size_bytes <= 10600


def test_a_budget_out_of_reach_names_the_smallest_size(network, images, scan, all_sizes):
    with pytest.raises(OptionError, match=re.escape(f"({all_sizes.narrow_bytes:,} bytes)")):
        assign_precision(network, images, "1KB", scheme="int8_weights", scan=scan)
    found = assign_precision(network, images, all_sizes.narrow_bytes, scheme="int8_weights", scan=scan)
    assert found.size_bytes == all_sizes.narrow_bytes


def test_a_latency_budget_narrows_what_becomes_faster(network, images, scan):
    costs = CostTable(
        "a made-up device",
        10.0,
        (
            LayerCost("stem", -3.0, -3.1, -2.9),
            LayerCost("body", -2.0, -2.1, -1.9),
            LayerCost("hidden", 1.0, 0.9, 1.1),
        ),
    )
    cheap = dataclasses.replace(
        scan, rows=tuple(dataclasses.replace(row, change=float(row.bits == 4)) for row in scan.rows)
    )
    found = assign_precision(network, images, LatencyBudget(7.5, costs), scheme="int8_weights", scan=cheap)
    assert [layer for layer, bits in found.widths.items() if bits == 4] == ["stem"]
    assert found.latency_ms == pytest.approx(7.0)
    with pytest.raises(OptionError, match="shortest that can be reached is 5 ms"):
        assign_precision(network, images, LatencyBudget(4.0, costs), scheme="int8_weights", scan=cheap)


def test_slower_widths_are_warned_of(network, images, scan, all_sizes):
    slow = tuple(LayerCost(layer, 2.0, 1.9, 2.1) for layer in NARROWABLE)
    budget = SizeBudget(all_sizes.narrow_bytes, CostTable("a made-up device", 1.0, slow))
    found = assign_precision(network, images, budget, scheme="int8_weights", scan=scan)
    assert found.latency_ms == pytest.approx(9.0)
    assert "slower than 8 on a made-up device for 'stem', 'body', 'hidden' and others: 8 ms" in str(found)


def test_costs_are_measured_for_layers_that_can_be_narrow(network, tmp_path):
    quick = {"runs": 8, "launches": 2, "rounds": 1, "min_duration_s": 0.0, "warmup_s": 0.05}
    costs = measure_costs(network, scheme="int8_weights", bench=quick)
    assert tuple(cost.layer for cost in costs.layers) == NARROWABLE
    assert costs.base_ms > 0
    assert CostTable.load(costs.save(tmp_path / "costs.json")) == costs
    with pytest.raises(OptionError, match="no table of costs"):
        CostTable.load(tmp_path / "missing.json")


@pytest.mark.slow
def test_convert_chooses_the_widths_within_a_size(network, images, tmp_path):
    network.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=images)
    arguments = [str(tmp_path / "model.keras"), "-o", str(tmp_path / "mixed.tflite"), "--scheme", "mixed"]
    data = ["--calibration", str(tmp_path / "data.npz")]
    result = CliRunner().invoke(command, [*arguments, *data, "--max-size", "10.6KB"])
    assert result.exit_code == 0, result.output
    assert "4 bits: " in result.stdout
    assert (tmp_path / "mixed.tflite").stat().st_size <= 10600
    assert "int4" in types_by_elements(tmp_path / "mixed.tflite").values()
    result = CliRunner().invoke(command, [*arguments, *data])
    assert isinstance(result.exception, OptionError)
    assert "go together" in str(result.exception)


def test_widths_are_never_chosen_without_data(tmp_path):
    with pytest.raises(OptionError, match="chosen on calibration data"):
        export_within_spec("model.keras", str(tmp_path / "mixed.tflite"), max_size="9KB")


def test_a_recipe_exports_within_a_size(network, images, tmp_path):
    work = SimpleNamespace(
        name="mine",
        folder=tmp_path,
        data=SimpleNamespace(x_train=images),
        seed=0,
        load_model=lambda: network,
    )
    limit = 10600
    outcome = ExportStep(scheme="int8", max_size=f"{limit}B", calibration_samples=20).run(work)
    assert (outcome.exported, outcome.scheme) == ("mine_mixed.tflite", "mixed")
    assert (tmp_path / outcome.exported).stat().st_size == outcome.facts["size_bytes"] <= limit
    assert "int4" in types_by_elements(tmp_path / outcome.exported).values()
    with pytest.raises(OptionError, match="needs a scheme of integer weights"):
        ExportStep(scheme="float16", max_size="9KB")
    with pytest.raises(OptionError, match="A size is a number of bytes"):
        ExportStep(scheme="int8", max_size="small")
