"""Quantization as a user meets it: own models, own loops, own mistakes; a file's numbers are LiteRT's."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tfzip.errors import DataError
from tfzip.quantization_record import attach_record, record_of
from tfzip.runtime.numbers import dequantize, quantize

layers = keras.layers
pytestmark = pytest.mark.usefixtures("convert_in_the_warm_child")


def trained(model, inputs, targets, loss="mse", scheme="int8", epochs=2, **options):
    """Fits with QuantizationCallback and returns the model."""
    if not model.compiled:
        model.compile(keras.optimizers.Adam(1e-3), loss)
    callback = tfzip.QuantizationCallback(scheme)
    model.fit(inputs, targets, batch_size=16, epochs=epochs, callbacks=[callback], verbose=0, **options)
    return model


def steps_apart(model, path, inputs, count=8, eager=False):
    """Returns, by output, how far a file is from `tfzip.quantize(model)` in steps of the file's grid."""
    session = tfzip.open_session(path)
    named = inputs if isinstance(inputs, dict) else {session.inputs[0].name: inputs}
    few = {name: array[:count] for name, array in named.items()}
    simulated, given = tfzip.quantize(model), few if isinstance(inputs, dict) else inputs[:count]
    ours = np.asarray(simulated(given)) if eager else simulated.predict(given, verbose=0)
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
    assert round(apart) <= 12  # inside the recurrent layer the simulation rounds kernels only


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


@pytest.mark.parametrize("offset", [0.0, -1.0])
def test_images_scaled_by_the_model_itself_are_simulated_in_compiled_steps(offset, tmp_path):
    keras.utils.set_random_seed(1)
    scaling = layers.Rescaling(1 / 127.5, offset)
    model = keras.Sequential([keras.Input((6, 6, 2)), scaling, layers.Flatten(), layers.Dense(2)])
    x = np.random.default_rng(3).uniform(0, 255, (64, 6, 6, 2)).astype(np.float32)
    trained(model, x, noise(64, 2))
    artifact = tfzip.export(model, tmp_path / "scaled.tflite")
    (apart,) = steps_apart(model, artifact.path, x).values()
    assert apart <= 1


@pytest.mark.slow
def test_a_stock_architecture_trains_and_exports_as_full_integer(tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV3Small(
        (64, 64, 3), alpha=0.35, minimalistic=False, weights=None, classes=5, dropout_rate=0.0
    )
    x = np.random.default_rng(3).uniform(0, 255, (32, 64, 64, 3)).astype(np.float32)
    trained(model, x, np.arange(32) % 5, "sparse_categorical_crossentropy", epochs=1)
    artifact = tfzip.export(model, tmp_path / "mobile.tflite")
    assert artifact.findings == ()
    (apart,) = steps_apart(model, artifact.path, x, count=2, eager=True).values()
    assert apart <= 2


def small():
    keras.utils.set_random_seed(1)
    stack = [keras.Input((6, 6, 2), name="image"), layers.Conv2D(4, 3, activation="relu", name="conv")]
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(2, name="head")])


def test_sample_weights_count():
    x, model = noise(48, 6, 6, 2), small()
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    trained(model, x, noise(48, 2), sample_weight=np.zeros(48))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_train_step_of_ones_own_trains_through_the_rounding(tmp_path):
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                outputs = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=outputs)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            seen.append(outputs.shape)
            return {"own_loss": loss}

    seen, inner = [], small()
    model = Own(inner.inputs, inner.outputs)
    x = noise(64, 6, 6, 2)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    callback = tfzip.QuantizationCallback("w4a8")
    history = model.fit(x, x[:, 0, 0], batch_size=16, epochs=12, callbacks=[callback], verbose=0)
    assert seen
    assert history.history["own_loss"][-1] < 0.7 * history.history["own_loss"][0]
    artifact = tfzip.export(model, tmp_path / "step.tflite")
    (apart,) = steps_apart(model, artifact.path, x).values()
    assert apart <= 2


_MIRRORED = """
import json, sys
import keras, numpy as np, tensorflow as tf
import tfzip
from tfzip.quantization_record import record_of
one, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(one, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
from tests.integration.test_quantization import noise, small, steps_apart
x = noise(64, 6, 6, 2)
with strategy.scope():
    model = small()
    model.compile(keras.optimizers.Adam(0.01), "mse")
callback = tfzip.QuantizationCallback("int8", learned_steps=sys.argv[2] == "learned")
model.fit(x, x[:, 0, 0], batch_size=16, epochs=2, callbacks=[callback], verbose=0)
artifact = tfzip.export(model, sys.argv[1])
apart, = steps_apart(model, artifact.path, x).values()
print(json.dumps({"replicas": strategy.num_replicas_in_sync, "ranges": list(record_of(model).ranges),
                  "apart": float(apart)}))
"""


@pytest.mark.parametrize("steps", ["observed", "learned"])
def test_two_replicas_train_one_set_of_grids(steps, tmp_path):
    command = [sys.executable, "-c", _MIRRORED, str(tmp_path / "mirrored.tflite"), steps]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    assert found["ranges"] == ["input:0", "conv", "head"]
    assert found["apart"] <= 1


def test_what_has_no_integer_kernel_stays_in_float_and_is_listed(tmp_path):
    inputs = keras.Input((6,))
    x = keras.ops.sin(layers.Dense(4, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="after")(x))
    x = noise(64, 6)
    trained(model, x, x[:, :2])
    artifact = tfzip.export(model, tmp_path / "sine.tflite")
    assert [(one.kind, one.op) for one in artifact.findings] == [("float_island", "SIN")]
    (apart,) = steps_apart(model, artifact.path, x).values()
    assert apart <= 1


def test_an_activation_that_is_always_zero_has_a_grid_and_a_file(tmp_path):
    model = small()
    model.get_layer("conv").bias.assign(np.full(4, -100.0))
    x = noise(64, 6, 6, 2)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    trained(model, x, noise(64, 2))
    artifact = tfzip.export(model, tmp_path / "dead.tflite")
    (apart,) = steps_apart(model, artifact.path, x).values()
    assert apart <= 1


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (noise(0, 6, 6, 2), "empty|no sample|not one"),
        (noise(8, 5, 5, 2), "shape"),
        (np.full((8, 6, 6, 2), np.nan), "NaN|finite"),
        (np.zeros((8, 6, 6, 2)), "are 0 everywhere"),
    ],
    ids=["empty", "shape", "nan", "constant"],
)
def test_calibration_that_does_not_fit_is_refused_and_leaves_the_model_as_it_was(calibration, message):
    with pytest.raises(DataError, match=message):
        tfzip.quantize(small(), "int8", calibration=calibration)
    model, x = small(), noise(32, 6, 6, 2)
    model.compile("adam", "mse")
    callback = tfzip.QuantizationCallback("int8", calibration=calibration)
    with pytest.raises(DataError, match=message):
        model.fit(x, x[:, 0, 0], callbacks=[callback], verbose=0)
    assert "call" not in vars(model)
    assert record_of(model) is None
    model.fit(x, x[:, 0, 0], verbose=0)


def test_grids_of_another_architecture_are_refused(tmp_path):
    x = noise(32, 6, 6, 2)
    model = trained(small(), x, x[:, 0, 0])
    inputs = keras.Input((6, 6, 2), name="image")
    hidden = layers.Dense(8, activation="relu", name="new")(layers.Flatten()(inputs))
    other = keras.Model(inputs, layers.Dense(2, name="head")(hidden))
    attach_record(other, record_of(model))
    target = tmp_path / "other.tflite"
    with pytest.raises(tfzip.TfzipError, match="a layer .conv., which it has not"):
        tfzip.export(other, target)
    assert not target.exists()
