"""Ranges learned in training reach the tensors of the file that compute the same values, and no others."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tfzip.conversion.inner import inner_ranges
from tfzip.errors import ConversionError, DataError, UnknownNameError
from tfzip.quantization_record import QuantizationRecord, attach_record, record_of
from tfzip.schemes import get_scheme
from tfzip.sources.models import load_model
from tfzip.tflite import read

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (48, 8, 8, 3)).astype("float32")
RANGES = {
    "input:0": (-1.25, 1.5),
    "conv": (0.0, 3.25),
    "depthwise": (-2.5, 2.75),
    "sum": (-2.125, 4.5),
    "pool": (-2.125, 4.5),
    "head": (-5.5, 6.0),
}


def net():
    keras.utils.set_random_seed(5)
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x)
    y = layers.Add(name="sum")([y, layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)])
    return keras.Model(x, layers.Dense(4, name="head")(layers.AveragePooling2D(8, name="pool")(y)))


def attentive():
    keras.utils.set_random_seed(6)
    x = keras.Input((5, 8), name="x")
    y = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    model = keras.Model(x, layers.Dense(3, name="out")(y))
    ranges = {"input:0": (-4.0, 4.0), "attention": (-3.0, 3.0), "out": (-3.0, 3.0)}
    attach_record(model, QuantizationRecord(get_scheme("int8"), ranges))
    return model, RNG.normal(size=(32, 5, 8)).astype("float32")


@pytest.fixture
def trained():
    model = net()
    attach_record(model, QuantizationRecord(get_scheme("int8"), RANGES))
    return model


def steps_of(path):
    """Returns the steps of what is computed, the input's first, in the order of execution."""
    graph = read(path).main
    return [graph.tensors[i].scales[0] for i in (graph.inputs[0], *(op.outputs[0] for op in graph.operators))]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_trained_model_needs_neither_scheme_nor_calibration(trained, tmp_path, batch):
    artifact = tfzip.export(trained, tmp_path / "m.tflite", batch=batch)
    assert artifact.scheme == "int8"
    expected = [np.float32((high - low) / 255) for low, high in RANGES.values()]
    found = steps_of(artifact.path)
    assert set(np.float32(found)) == set(expected)


def test_ranges_of_training_come_before_those_of_calibration_data(trained, tmp_path):
    one = tfzip.export(trained, tmp_path / "a.tflite").path
    other = tfzip.export(trained, tmp_path / "b.tflite", calibration=100 * IMAGES).path
    assert steps_of(one) == steps_of(other)


def test_another_scheme_uses_the_same_ranges(trained, tmp_path):
    narrow = tfzip.export(trained, tmp_path / "a.tflite", scheme="w4a8").path
    assert steps_of(narrow) == steps_of(tfzip.export(trained, tmp_path / "b.tflite").path)
    wide = tfzip.export(trained, tmp_path / "c.tflite", scheme="int16x8").path
    largest = [max(-low, high) for low, high in RANGES.values()]
    found = steps_of(wide)
    assert found[0] == pytest.approx(largest[0] / 32767.5, rel=1e-4)
    assert found[-1] == pytest.approx(largest[-1] / 32767.5, rel=1e-4)


def test_a_model_without_ranges_inside_a_whole_layer_asks_for_data_and_names_the_layer(tmp_path):
    model, data = attentive()
    with pytest.raises(
        ConversionError, match="no range for what is computed inside 'attention'.*calibration="
    ):
        tfzip.export(model, tmp_path / "m.tflite")
    mixed = tfzip.export(model, tmp_path / "m.tflite", calibration=data)
    assert mixed.inputs[0].scale == pytest.approx(8 / 255)


def test_inner_ranges_replace_the_data(tmp_path, monkeypatch, warm_child):
    monkeypatch.setattr("tfzip.conversion.inner.run_isolated", warm_child.call)
    model, data = attentive()
    record = record_of(model)
    inner = inner_ranges(model, record, data)
    assert inner
    assert all(low <= 0 <= high for low, high in inner.values())
    attach_record(model, replace(record, inner=inner))
    found = steps_of(tfzip.export(model, tmp_path / "a.tflite").path)
    with_data = tfzip.export(model, tmp_path / "b.tflite", calibration=data).path
    np.testing.assert_allclose(found, steps_of(with_data), rtol=1e-4)


def test_a_saved_model_brings_its_ranges_along(trained, tmp_path):
    trained.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    one = tfzip.export(trained, tmp_path / "a.tflite").path
    assert steps_of(tfzip.export(again, tmp_path / "b.tflite").path) == steps_of(one)


def test_the_observer_decides_about_ranges_from_data(tmp_path):
    model, data = net(), IMAGES.copy()
    data[0, 0, 0] = 30.0
    steps = {
        observer: steps_of(
            tfzip.export(
                model, tmp_path / "m.tflite", scheme="int8", calibration=data, observer=observer
            ).path
        )
        for observer in ("min_max", "percentile", "mse")
    }
    assert steps["percentile"][1] < steps["min_max"][1]
    assert steps["mse"][1] < steps["min_max"][1]
    with pytest.raises(UnknownNameError, match="Did you mean 'min_max'"):
        tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=data, observer="minmax")


def test_activations_that_overflow_are_named(tmp_path):
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, kernel_initializer="ones", name="first")(x)
    model = keras.Model(x, layers.Dense(2, name="last")(layers.Activation("exponential", name="grown")(y)))
    data = np.linspace(900, 1000, 32, dtype="float32").reshape(8, 4)
    with pytest.raises((DataError, ConversionError), match="NaN or infinite on the calibration data"):
        tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=data)
    assert list(tmp_path.iterdir()) == []


def test_constant_activations_make_a_file_that_runs(tmp_path):
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, "relu", kernel_initializer="zeros", bias_initializer="ones", name="one")(x)
    z = layers.Dense(4, "relu", kernel_initializer="zeros", name="none")(x)
    model = keras.Model(x, layers.Dense(2, name="last")(layers.Add(name="sum")([y, z])))
    data = RNG.normal(size=(8, 4)).astype("float32")
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=data)
    assert artifact.findings == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 8, 8, 3), "float32"), "empty"),
        (np.zeros((4, 8, 8, 1), "float32"), r"must have the shape \(samples, 8, 8, 3\)"),
        (np.full((4, 8, 8, 3), np.nan, "float32"), "NaN or infinity"),
        ({"picture": IMAGES}, "name the inputs"),
    ],
)
def test_data_that_do_not_fit_are_one_clear_line(tmp_path, data, message):
    with pytest.raises(DataError, match=message) as caught:
        tfzip.export(net(), tmp_path / "m.tflite", scheme="int8", calibration=data)
    assert "\n" not in str(caught.value)
