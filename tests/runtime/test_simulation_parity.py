"""The file computes what the simulation computes, to the bit where LiteRT's kernels are modelled."""

import keras
import numpy as np
import pytest

import tfzip
from tests.quantization.small import compiled, images, network
from tfzip.errors import OptionError
from tfzip.quantization_record import record_of
from tfzip.tflite import read


@pytest.fixture(scope="module")
def trained():
    x, y = images()
    models = {}
    for kind in ("int8", "w4a8", "int8, learned steps", "w4a8, learned steps"):
        model = compiled(network())
        callback = tfzip.QuantizationCallback(kind.split(",")[0], learned_steps="learned" in kind)
        model.fit(x, y, batch_size=32, epochs=3, callbacks=[callback], verbose=0)
        models[kind] = model
    return models


@pytest.mark.parametrize("kind", ["int8", "w4a8", "int8, learned steps", "w4a8, learned steps"])
def test_a_trained_file_equals_its_simulation_to_the_bit(kind, trained, tmp_path):
    artifact = tfzip.export(trained[kind], tmp_path / "model.tflite")
    report = tfzip.parity(trained[kind], artifact, images()[0])
    scheme = kind.split(",")[0]
    assert artifact.scheme == scheme
    assert report.unmatched == ()
    assert report.worst.max_lsb <= 1.001
    assert report.max_lsb <= (0 if scheme == "int8" else 1)
    assert report.agreement == 1.0
    assert report.samples == 96


def test_another_model_s_file_is_far_from_the_simulation(trained, tmp_path):
    other = keras.models.clone_model(trained["int8"])
    artifact = tfzip.export(
        other, tmp_path / "other.tflite", scheme="int8", calibration=images()[0], observer="min_max"
    )
    report = tfzip.parity(trained["int8"], artifact, images()[0][:8])
    assert report.max_lsb > 10
    assert report.unmatched


def test_a_model_without_grids_is_refused(tmp_path):
    model = network()
    artifact = tfzip.export(model, tmp_path / "float.tflite")
    with pytest.raises(OptionError, match="carries no grids"):
        tfzip.parity(model, artifact, images()[0])


def test_averages_over_windows_and_positions_are_rounded_as_in_the_file(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.BatchNormalization()(inputs)
    x = keras.layers.AveragePooling2D(3, 1, padding="same")(x)
    x = keras.layers.Activation("hard_sigmoid")(keras.layers.AveragePooling2D(2)(x))
    x = keras.layers.Conv2D(6, 1, activation="silu")(x)
    same_to_the_bit(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)), tmp_path)


def same_to_the_bit(model, folder, at_most=0):
    data = np.random.default_rng(0).normal(size=(32, *model.input_shape[1:])).astype(np.float32)
    simulated = tfzip.quantize(model, "int8", calibration=data)
    artifact = tfzip.export(simulated.float_model, folder / "model.tflite")
    report = tfzip.parity(simulated, artifact, data)
    assert report.max_lsb <= at_most
    return report


def after_a_convolution(function):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 4))
    convolved = keras.layers.Conv2D(6, 3, use_bias=False)(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(3, 1)(function(convolved)))


CHANNELS = np.linspace(-2, 3, 6, dtype=np.float32)  # one of them is 0
PLACES = np.linspace(1, 2, 216, dtype=np.float32)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 3.0,
        lambda x: keras.layers.ReLU()(keras.layers.BatchNormalization()(x) - CHANNELS),
        lambda x: keras.ops.relu6(keras.ops.multiply(CHANNELS.reshape(1, 1, 1, 6), x)),
        lambda x: keras.ops.relu(2.0 * (x + CHANNELS) - 1.0),
        lambda x: 1.0 - x,
        lambda x: x * CHANNELS.reshape(6, 1),
        lambda x: keras.layers.MaxPooling2D(1)(x) * 0.37 + CHANNELS,
        lambda x: keras.layers.Reshape((6, 6, 6))(keras.layers.Flatten()(x) * PLACES),
    ],
    ids=[
        "sum",
        "after_normalization",
        "product",
        "several",
        "from_a_constant",
        "along_rows",
        "behind_no_kernel",
        "flat",
    ],
)
def test_products_and_sums_with_constants_behind_a_kernel_are_those_of_the_file(function, tmp_path):
    assert same_to_the_bit(after_a_convolution(function), tmp_path).unmatched == ()


@pytest.mark.parametrize("between", [keras.layers.Dropout(0.1), keras.layers.Reshape((6, 6, 6))])
@pytest.mark.parametrize("scale", ["constant", "normalization"])
def test_what_stands_between_a_kernel_and_a_scale_keeps_the_simulation_close(between, scale, tmp_path):
    def scaled(x):
        if scale == "constant":
            return between(x) * (10 * CHANNELS)
        norm = keras.layers.BatchNormalization()
        norm.build(x.shape)
        norm.gamma.assign(10 * CHANNELS)
        return norm(between(x))

    assert same_to_the_bit(after_a_convolution(scaled), tmp_path, at_most=2).mean_lsb < 0.5


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.Dense(6), (5,)),
        (keras.layers.Dense(6), (4, 5)),
        (keras.layers.Conv1D(6, 3), (8, 4)),
        (keras.layers.DepthwiseConv2D(3), (6, 6, 6)),
        (keras.layers.SeparableConv2D(6, 3), (6, 6, 3)),
        (keras.layers.Conv2DTranspose(6, 2, 2), (4, 4, 3)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_constants_are_folded_into_every_kind_of_kernel(layer, shape, tmp_path):
    keras.utils.set_random_seed(2)
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(2)(keras.ops.relu(layer(inputs) * CHANNELS + CHANNELS[::-1]))
    assert same_to_the_bit(keras.Model(inputs, outputs), tmp_path).unmatched == ()


def test_equal_activations_of_one_tensor_are_one_operation(tmp_path):
    model = after_a_convolution(
        lambda x: keras.layers.Add()(
            [keras.layers.ReLU()(x), keras.layers.MaxPooling2D(1)(keras.ops.relu(x))]
        )
    )
    assert same_to_the_bit(model, tmp_path).unmatched == ()


@pytest.mark.parametrize("pooling", [keras.layers.MaxPooling2D, keras.layers.AveragePooling2D])
def test_an_activation_behind_pooling_is_part_of_it(pooling, tmp_path):
    model = after_a_convolution(lambda x: keras.layers.ReLU(6)(pooling(2)(x)))
    assert same_to_the_bit(model, tmp_path).unmatched == ()


@pytest.mark.parametrize("size", [2, 3])
def test_bilinear_means_are_rounded_as_in_the_file(size, tmp_path):
    up = keras.layers.UpSampling2D(size, interpolation="bilinear")
    assert same_to_the_bit(after_a_convolution(up), tmp_path).unmatched == ()


@pytest.mark.parametrize(
    "scale", [0.3, pytest.param(1.0, marks=pytest.mark.slow), 4.0, pytest.param(30.0, marks=pytest.mark.slow)]
)
def test_hard_swish_is_rounded_as_in_the_file(scale, tmp_path):
    same_to_the_bit(after_a_convolution(lambda x: keras.layers.Activation("hard_silu")(x * scale)), tmp_path)


def test_weights_and_biases_half_way_between_integers_are_those_of_the_simulation(tmp_path):
    """TensorFlow's converter rounds them away from zero, the simulation to even."""
    halves = np.array([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 64], np.float32) / 64
    inputs = keras.Input((4, 4, 2))
    layer = keras.layers.Conv2D(2, (2, 2), name="conv")
    model = keras.Model(inputs, layer(inputs))
    layer.kernel.assign(np.stack([halves, -halves], axis=-1).reshape(2, 2, 2, 2))
    data = np.random.default_rng(0).uniform(-1, 1, (16, 4, 4, 2)).astype(np.float32)
    simulated = tfzip.quantize(model, "int8", calibration=data, observer="min_max")
    low, high = record_of(simulated.float_model).ranges["input:0"]
    step = np.float32(high - low) / np.float32(255) / np.float32(64)
    simulated.float_model.get_layer("conv").bias.assign(np.array([2.5, -4.5], np.float32) * step)
    artifact = tfzip.export(simulated.float_model, tmp_path / "model.tflite")
    graph = read(artifact.path)
    (operator,) = [one for one in graph.main.operators if one.name == "CONV_2D"]
    kernel, bias = (graph.constant(graph.main.tensors[index]) for index in operator.inputs[1:3])
    expected = np.rint(np.stack([halves, -halves]) * 64)
    np.testing.assert_array_equal(kernel.reshape(2, -1), expected)
    np.testing.assert_array_equal(bias, [2, -4])
    assert tfzip.parity(simulated.float_model, artifact, data).max_lsb == 0


def test_sizes_that_a_model_leaves_open_are_those_that_ranges_were_seen_on(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(keras.layers.ZeroPadding2D(1)(inputs))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    data = np.random.default_rng(0).normal(size=(16, 10, 6, 3)).astype(np.float32)
    simulated = tfzip.quantize(model, "int8", calibration=data)
    simulated.float_model.save(tmp_path / "model.keras")
    artifact = tfzip.export(tfzip.load_model(tmp_path / "model.keras"), tmp_path / "model.tflite")
    assert artifact.inputs[0].shape == (1, 10, 6, 3)
    assert tfzip.parity(simulated, artifact, data).max_lsb == 0


def test_rounded_weights_take_ranges_from_data(tmp_path):
    x, _ = images()
    ready = tfzip.round_weights(network(), "w4a8", calibration=x, steps=20).model
    simulated = tfzip.quantize(ready, calibration=x)
    artifact = tfzip.export(simulated.float_model, tmp_path / "model.tflite")
    assert artifact.scheme == "w4a8"
    assert tfzip.parity(simulated, artifact, x).max_lsb <= 1
