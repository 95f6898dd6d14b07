"""Scans of channels: what they measure, as files, and in place of data."""

import json
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tests.pruning.test_remove_channels import classifier, data
from tfzip.errors import DataError, ModelError, OptionError
from tfzip.pruning.channels.scan_report import ChannelScan


@pytest.fixture(scope="module")
def scanned():
    model = classifier()
    model.compile(loss=model.loss, metrics=["accuracy"])
    before = model.get_weights()
    scan = tfzip.channel_sensitivity(model, data(), ratios=(0.25, 0.5, 0.75))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    return model, scan


def test_a_row_is_what_the_model_without_the_channels_is_worth(scanned):
    model, scan = scanned
    x, y = data()
    assert scan.samples == 64
    assert scan.before == pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True), rel=1e-4)
    small = tfzip.remove_channels(model, 0.5, criterion="l1", layers="first")
    small.compile(loss=model.loss, metrics=["accuracy"])
    row = next(row for row in scan.of(scan.groups[0], 12) if row.removed == 6)
    assert row.values == pytest.approx(small.evaluate(x, y, verbose=0, return_dict=True), rel=1e-4)


def test_rows_of_a_last_small_batch_count_as_much_as_others(scanned):
    model, _ = scanned
    x, y = data(37)
    scan = tfzip.channel_sensitivity(model, (x, y), ratios=(0.5,))
    assert scan.before == pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True), rel=1e-4)
    assert tfzip.channel_sensitivity(model, (x, y), ratios=(0.5,), samples=33).samples == 33


def test_a_scan_is_saved_read_shown_and_drawn(scanned, tmp_path):
    _, scan = scanned
    assert ChannelScan.load(scan.save(tmp_path / "scan.json")) == scan
    text = str(scan)
    assert all(name in text for name in (*scan.groups, "accuracy", "64 samples"))
    pytest.importorskip("matplotlib")
    drawn = ET.parse(scan.plot(tmp_path / "scan.svg"))
    assert drawn.getroot().tag.endswith("svg")


def test_a_scan_stands_for_data(scanned):
    model, scan = scanned
    full = tfzip.channel_sensitivity(model, data())
    by_data = tfzip.remove_channels(model, 0.4, criterion="sensitivity", scope="global", data=data())
    by_scan = tfzip.remove_channels(
        model, 0.4, criterion="sensitivity", scope="global", data=ChannelScan.from_json(full.to_json())
    )
    widths = [[one.get_layer(n).filters for n in ("first", "second")] for one in (by_data, by_scan)]
    assert widths[0] == widths[1]
    assert scan.rise(scan.groups[0], 12, 6) == pytest.approx(
        next(row for row in scan.rows if row.removed == 6).values["loss"] - scan.before["loss"]
    )


def test_a_scan_of_another_model_is_refused(scanned):
    _, scan = scanned
    with pytest.raises(OptionError, match="Scan the model as it is now"):
        tfzip.remove_channels(classifier(width=8), criterion="sensitivity", data=scan)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"group": 1}]}', "null"])
def test_text_that_is_no_scan_is_refused(text, tmp_path):
    (tmp_path / "scan.json").write_text(text)
    with pytest.raises(OptionError, match="no scan"):
        ChannelScan.load(tmp_path / "scan.json")


def test_a_scan_without_a_loss_is_refused(scanned):
    fields = json.loads(scanned[1].to_json())
    del fields["before"]["loss"]
    with pytest.raises(OptionError, match="has no loss"):
        ChannelScan.from_json(json.dumps(fields))


def test_parts_of_one_layer_are_told_apart():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    first, second = keras.ops.split(layers.Dense(16, "relu", name="wide")(inputs), 2, axis=-1)
    idle = layers.Dense(3, name="idle")
    model = keras.Model(inputs, layers.Dense(3)(first) + idle(second))
    idle.kernel.assign(idle.kernel * 1e-3)
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 6)).astype("float32"), rng.normal(size=(64, 3)).astype("float32")
    scan = tfzip.channel_sensitivity(model, rows, ratios=(0.25, 0.5, 0.75))
    assert scan.groups == ("wide", "wide#2")
    kept = [
        [
            layer.kernel.shape[0]
            for layer in tfzip.remove_channels(
                model, criterion="sensitivity", scope="global", data=given
            ).layers
            if isinstance(layer, layers.Dense) and layer.kernel.shape[1] == 3
        ]
        for given in (rows, scan)
    ]
    assert sorted(kept[0]) == sorted(kept[1])
    assert max(kept[0]) > min(kept[0]) + 2


def test_what_a_scan_needs_is_named():
    model = classifier()
    with pytest.raises(OptionError, match="have to rise"):
        tfzip.channel_sensitivity(model, data(), ratios=(0.5, 0.2))
    with pytest.raises(DataError, match=r"Pass \(inputs, targets\)"):
        tfzip.channel_sensitivity(model, data()[0])
    with pytest.raises(ModelError, match=r"model\.compile"):
        tfzip.channel_sensitivity(keras.Sequential.from_config(model.get_config()), data())
    with pytest.raises(OptionError, match="at least 1"):
        tfzip.channel_sensitivity(model, data(), samples=0)


def test_unfit_options_and_data_are_named():
    with pytest.raises(OptionError, match="several numbers"):
        tfzip.channel_sensitivity(classifier(), data(), ratios=0.5)
    with pytest.raises(OptionError, match="at least 1"):
        tfzip.channel_sensitivity(classifier(), data(), samples="a")
    with pytest.raises(DataError, match="fit the model"):
        tfzip.channel_sensitivity(classifier(), (data()[0][:, :3], data()[1]))
