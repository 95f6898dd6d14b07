"""Quantization as a user meets it: own models, own loops, own mistakes; a file's numbers are LiteRT's."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import tfzip
from tfzip.errors import DataError, OptionError
from tfzip.quantization_record import attach_record, record_of
from tfzip.runtime.numbers import dequantize, quantize

layers = keras.layers


def trained(model, inputs, targets, loss="mse", scheme="int8", epochs=2, **options):
    """Fits with QuantizationCallback and returns the model."""
    if not model.compiled:
        model.compile(keras.optimizers.Adam(1e-3), loss)
    callback = tfzip.QuantizationCallback(scheme)
    model.fit(inputs, targets, batch_size=16, epochs=epochs, callbacks=[callback], verbose=0, **options)
    return model


def steps_apart(model, path, inputs, count=8):
    """Returns, by output, how far a file is from `tfzip.quantize(model)` in steps of the file's grid."""
    session = tfzip.open_session(path)
    named = inputs if isinstance(inputs, dict) else {session.inputs[0].name: inputs}
    few = {name: array[:count] for name, array in named.items()}
    ours = tfzip.quantize(model).predict(few if isinstance(inputs, dict) else inputs[:count], verbose=0)
    ours = ours if isinstance(ours, dict) else {session.outputs[0].name: ours}
    held = [
        session.run({one.name: quantize(few[one.name][i : i + 1], one) for one in session.inputs})
        for i in range(count)
    ]
    return {
        one.name: np.abs(
            ours[one.name] - dequantize(np.concatenate([row[one.name] for row in held]), one)
        ).max()
        / one.scale
        for one in session.outputs
    }


def noise(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Block(layers.Layer):
    """A residual block as people write them."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.norm = layers.BatchNormalization()

    def call(self, x, training=None):
        return keras.ops.relu(x + self.norm(self.conv(x), training=training))


class Network(keras.Model):
    """A stem, two blocks, the second used twice, and a shared head."""

    def __init__(self):
        super().__init__()
        self.stem = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")
        self.blocks = [Block(8), Block(8)]
        self.head = layers.Dense(4)

    def call(self, x, training=None):
        x = self.stem(x)
        for block in (*self.blocks, self.blocks[1]):
            x = block(x, training=training)
        return self.head(keras.ops.mean(x, axis=(1, 2))) + self.head(keras.ops.max(x, axis=(1, 2)))


def built_network():
    keras.utils.set_random_seed(1)
    model = Network()
    model(noise(1, 12, 12, 3))
    return model


def test_a_subclassed_model_with_nested_and_shared_layers_computes_what_its_file_computes(tmp_path):
    x = noise(64, 12, 12, 3)
    model = trained(built_network(), x, noise(64, 4))
    artifact = tfzip.export(model, tmp_path / "own.tflite")
    assert artifact.scheme == "int8"
    assert artifact.findings == ()
    assert steps_apart(model, artifact.path, x)["output_0"] <= 1


def test_a_series_model_exports_without_data_and_stays_close_to_its_simulation(tmp_path):
    keras.utils.set_random_seed(1)
    stack = [keras.Input((10, 3)), layers.Conv1D(8, 3, padding="causal", activation="relu"), layers.GRU(6)]
    model = keras.Sequential([*stack, layers.Dense(1)])
    x = noise(64, 10, 3)
    trained(model, x, x[:, -1, :1])
    artifact = tfzip.export(model, tmp_path / "series.tflite")
    assert record_of(model).inner
    (apart,) = steps_apart(model, artifact.path, x).values()
    assert apart <= 12  # inside the recurrent layer the simulation rounds kernels only


def test_dictionaries_go_in_and_out(tmp_path):
    image, facts = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="facts")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Concatenate()([layers.Dense(8, activation="relu")(x), layers.Dense(8)(facts)])
    outputs = {"kind": layers.Dense(3, activation="softmax")(x), "size": layers.Dense(1)(x)}
    model = keras.Model({"image": image, "facts": facts}, outputs)
    inputs = {"image": noise(64, 8, 8, 3), "facts": noise(64, 4)}
    targets = {"kind": np.arange(64) % 3, "size": noise(64, 1)}
    trained(model, inputs, targets, {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    artifact = tfzip.export(model, tmp_path / "two.tflite")
    apart = steps_apart(model, artifact.path, inputs)
    assert set(apart) == {"kind", "size"}
    assert max(apart.values()) <= 1


def test_a_text_model_with_integer_inputs_trains_and_computes_what_its_file_computes(tmp_path):
    keras.utils.set_random_seed(1)
    words = keras.Input((12,), dtype="int32", name="words")
    x = layers.Conv1D(8, 3, activation="relu")(layers.Embedding(50, 8)(words))
    model = keras.Model(words, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    tokens = np.random.default_rng(3).integers(0, 50, (64, 12)).astype(np.int32)
    trained(model, tokens, noise(64, 2))
    artifact = tfzip.export(model, tmp_path / "text.tflite")
    (apart,) = steps_apart(model, artifact.path, tokens).values()
    assert apart <= 1


def test_a_stock_architecture_trains_and_exports_as_full_integer(tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV3Small(
        (64, 64, 3), alpha=0.35, minimalistic=False, weights=None, classes=5, dropout_rate=0.0
    )
    x = np.random.default_rng(3).uniform(0, 255, (16, 64, 64, 3)).astype(np.float32)
    trained(model, x, np.arange(16) % 5, "sparse_categorical_crossentropy", epochs=1)
    artifact = tfzip.export(model, tmp_path / "mobile.tflite")
    assert artifact.findings == ()
    (apart,) = steps_apart(model, artifact.path, x, count=2).values()
    assert apart <= 2
