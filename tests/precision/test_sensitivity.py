"""Sensitivity scans: against hand-rounded models, and their reports."""

import io
import json
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from tfzip.cli.sensitivity import command
from tfzip.errors import DataError, OptionError
from tfzip.precision.change import Reference, measure_of
from tfzip.precision.report import SensitivityReport
from tfzip.precision.sensitivity import sensitivity

SOFT = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
MOVED = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])


@pytest.fixture(scope="module")
def scan(network, images):
    return sensitivity(network, images)


def test_a_dense_layer_changes_the_output_by_its_rounding():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="only")])
    rows = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    kernel = model.layers[0].kernel.numpy()
    row = sensitivity(model, rows, bits=(8,)).of("only", 8)
    steps = np.abs(kernel).max(axis=0) / 127
    rounded = np.rint(kernel / steps) * steps
    apart = ((rows @ rounded - rows @ kernel) ** 2).mean(axis=1) / (rows @ kernel).var(axis=0).mean()
    assert row.change == pytest.approx(apart.mean(), rel=1e-2)
    assert row.low < row.change < row.high
    assert row.size_bytes == 24


def test_normalization_is_folded_before_rounding(network, images, scan):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.get_layer("norm").gamma.assign(np.linspace(1, 50, 16))
    scaled = sensitivity(copy, images).of("stem", 8)
    flat = sensitivity(network, images).of("stem", 8)
    assert scaled.change == pytest.approx(flat.change, rel=3)  # a scale for the kernel would cost 50 squared


def test_a_layer_with_one_huge_weight_ranks_first(network, images):
    fragile = keras.models.clone_model(network)
    fragile.set_weights(network.get_weights())
    kernel = fragile.get_layer("body").kernel
    values = kernel.numpy()
    values[0, 0, 0] = 3.0  # the step that covers it rounds all other weights away
    kernel.assign(values)
    assert sensitivity(fragile, images, bits=(4,)).ranked(4)[0].layer == "body"


def test_the_model_is_left_as_it_was(network, images):
    before = [weight.copy() for weight in network.get_weights()]
    sensitivity(network, images, bits=(4,))
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fewer_bits_change_more_and_take_half_the_bytes(scan):
    assert scan.layers == ("stem", "up", "body", "hidden", "head")
    for layer in scan.layers:
        assert scan.of(layer, 4).change > scan.of(layer, 8).change
        assert scan.of(layer, 4).size_bytes == (scan.of(layer, 8).size_bytes + 1) // 2


def test_logits_of_a_softmax_are_its_centred_logarithms():
    logs, moved = (np.log(p) - np.log(p).mean(axis=1, keepdims=True) for p in (SOFT, MOVED))
    expected = ((moved - logs) ** 2).mean(axis=1) / logs.var(axis=0).mean()
    np.testing.assert_allclose(measure_of("logits", Reference([SOFT]))([MOVED]), expected)


def test_divergence_and_loss_are_those_of_the_textbook():
    expected = [0.7 * np.log(0.7 / 0.6) + 0.2 * np.log(0.2 / 0.3), 0.0]
    np.testing.assert_allclose(measure_of("kl", Reference([SOFT]))([MOVED]), expected, atol=1e-12)
    labels = np.array([1, 0])
    loss = measure_of("loss", Reference([SOFT], labels))([MOVED])
    np.testing.assert_allclose(loss, [np.log(0.2 / 0.3), 0.0], atol=1e-12)


def test_the_loss_of_logits_values_and_yes_or_no():
    scores = np.array([[2.0, 0.0, -1.0]])
    change = measure_of("loss", Reference([scores], np.array([0])))([scores * 2])
    exact = np.log(np.exp(2 * scores).sum()) - 4 - (np.log(np.exp(scores).sum()) - 2)
    np.testing.assert_allclose(change, [exact])
    values = np.array([[1.0], [2.5]])
    change = measure_of("loss", Reference([values], np.array([1.5, 2.0])))([values + 1])
    np.testing.assert_allclose(change, [0.25 - 0.25 + 0.0, 2.25 - 0.25])
    yes = np.array([[0.9], [0.2]])
    change = measure_of("loss", Reference([yes], np.array([1, 0])))([np.array([[0.5], [0.2]])])
    np.testing.assert_allclose(change, [np.log(0.9 / 0.5), 0.0], atol=1e-12)


def test_bad_input_is_named(network, images):
    with pytest.raises(DataError, match="needs labels"):
        sensitivity(network, images, metric="loss")
    with pytest.raises(DataError, match="a label for each sample"):
        sensitivity(network, images, metric="loss", labels=[1, 2])
    with pytest.raises(DataError, match="class numbers from 0 to 4"):
        sensitivity(network, images, metric="loss", labels=np.full(40, 9))
    with pytest.raises(OptionError, match="metric must be 'logits', 'kl', 'loss'"):
        sensitivity(network, images, metric="mse")
    with pytest.raises(OptionError, match="4, 8 or both"):
        sensitivity(network, images, bits=(2,))
    with pytest.raises(OptionError, match="symmetric integer weights"):
        sensitivity(network, images, scheme="float16")
    with pytest.raises(OptionError, match="no softmax"):
        measure_of("kl", Reference([np.array([[3.0, -1.0]])]))


def test_a_report_comes_back_from_json_and_shows_bars(scan, tmp_path):
    saved = scan.save(tmp_path / "scan.json")
    assert SensitivityReport.from_json(saved.read_text()) == scan
    assert "█" in str(scan)
    with pytest.raises(OptionError, match="no sensitivity report"):
        SensitivityReport.from_json("{}")


def test_the_plot_names_every_layer(scan, tmp_path):
    pytest.importorskip("matplotlib")
    picture = scan.plot(tmp_path / "scan.svg")
    ET.parse(picture)
    assert all(f"<!-- {layer} -->" in picture.read_text() for layer in scan.layers)
    assert scan.plot(tmp_path / "scan.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(OptionError, match=r"\.png, \.svg, \.pdf"):
        scan.plot(tmp_path / "scan.gif")


def test_the_command_draws_rows_of_the_training_split(network, images, tmp_path):
    network.save(tmp_path / "model.keras")
    labels = np.arange(40) % 5
    np.savez(tmp_path / "data.npz", x=images, y=labels)
    arguments = [str(tmp_path / "model.keras"), "--data", str(tmp_path / "data.npz"), "--json"]
    options = ["--bits", "4", "--metric", "loss", "--samples", "20", "--output", str(tmp_path / "scan.json")]
    result = CliRunner().invoke(command, [*arguments, *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["samples"], found["metric"], len(found["rows"])) == (20, "loss", 5)
    assert json.loads((tmp_path / "scan.json").read_text()) == found


def test_every_layer_is_named_in_a_terminal_of_80_columns(scan):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(scan)
    first_words = [line[:17].strip() for line in console.export_text().splitlines()]
    folded = "".join(first_words)
    assert all(layer in folded for layer in scan.layers)
