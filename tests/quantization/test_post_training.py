"""The one verb, up to the file."""

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tests.quantization.post_training_nets import pictures, residual_net
from tfzip.quantization_record import record_of
from tfzip.schemes import mixed_scheme
from tfzip.tflite import read


@pytest.fixture(scope="module")
def ready():
    return tfzip.round_weights(residual_net(), "int4_weights", calibration=pictures(), steps=60)


def test_every_step_says_what_it_did_to_each_layer(ready):
    steps = {change.step for change in ready.changes}
    assert steps == {"equalize", "round"}
    rounded = [change.path for change in ready.changes if change.step == "round"]
    assert sorted(rounded) == ["a", "b", "c", "head", "short", "stem"]
    assert len(str(ready).splitlines()) == len(ready.changes)


def test_the_file_holds_the_integers_that_were_learned(ready, tmp_path):
    path = tmp_path / "model.tflite"
    tfzip.export(ready.model, path, scheme="int4_weights")
    found = [tensor for graph in read(path).subgraphs for tensor in graph.tensors if tensor.dtype == "int4"]
    steps = {np.float32(step) for tensor in found for step in tensor.scales}
    known = {np.float32(step) for scales in record_of(ready.model).weight_scales.values() for step in scales}
    assert steps
    assert steps <= known


def test_layers_that_are_not_rounded_get_their_biases_corrected():
    scheme = mixed_scheme("int8_weights", {"a": 4})
    revision = tfzip.round_weights(residual_net(), scheme, calibration=pictures(), equalize=False, steps=20)
    corrected = {change.path for change in revision.changes if change.step == "correct bias"}
    assert corrected == {"stem", "b", "c", "short", "head"}


def test_a_subclassed_model_without_config_is_rounded_as_a_flat_one():
    class Net(keras.Model):
        def __init__(self, width):
            super().__init__()
            self.first, self.second = layers.Dense(width, activation="relu"), layers.Dense(3)

        def call(self, inputs):
            return self.second(self.first(inputs))

    model = Net(6)
    data = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    expected = np.asarray(model(data))
    revision = tfzip.round_weights(model, "int4_weights", calibration=data, steps=20)
    assert len(record_of(revision.model).weight_scales) == 2
    assert np.abs(np.asarray(revision.model(data)) - expected).mean() < 0.2 * np.abs(expected).mean()
