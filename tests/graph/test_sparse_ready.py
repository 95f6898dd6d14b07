"""A model prepared for sparse kernels has the same weights, and says where its numbers change."""

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tfzip.errors import ModelError


def separable(size, *, stem=None, pool=None, channels=3):
    """A stem, a strided depthwise convolution as MobileNet pads it, and a head."""
    keras.utils.set_random_seed(0)
    x = keras.Input((size, size, channels))
    y = (stem or layers.Conv2D(8, 3, strides=2, padding="same", name="stem"))(x)
    y = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(y))
    y = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(y)
    y = layers.Conv2D(16, 1, name="pointwise")(y)
    y = (pool or layers.GlobalAveragePooling2D(name="pool"))(y)
    return keras.Model(x, layers.Dense(4, name="head")(y))


def image(size, rows=3, channels=3):
    return np.random.default_rng(0).standard_normal((rows, size, size, channels)).astype("float32")


def by_name(model, name):
    return model.get_layer(name)


def shifted(model, images):
    """What a model of an even size computes with one row and column of zeros on each side, by hand."""
    stem, depthwise, pointwise = (by_name(model, name) for name in ("stem", "depthwise", "pointwise"))
    y = _strided(images, lambda patch: np.tensordot(patch, stem.kernel.numpy(), 3)) + stem.bias.numpy()
    norm = by_name(model, "norm")
    y = np.maximum(norm(y).numpy(), 0)
    kernel = depthwise.kernel.numpy()[..., 0]
    y = _strided(y, lambda patch: (patch * kernel).sum((1, 2))) + depthwise.bias.numpy()
    y = pointwise(y).numpy().mean((1, 2))
    return by_name(model, "head")(y).numpy()


def _strided(images, product):
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = range(0, images.shape[1], 2)
    return np.stack(
        [np.stack([product(padded[:, i : i + 3, j : j + 3]) for j in places], 1) for i in places], 1
    )


def test_an_odd_size_is_left_and_the_pooling_is_exact():
    model = separable(13)
    ready = tfzip.prepare_for_sparse(model)
    np.testing.assert_allclose(ready(image(13)), model(image(13)), rtol=0, atol=1e-6)
    assert by_name(ready, "pool").keepdims
    assert by_name(ready, "stem").padding == "same"


def test_an_even_size_is_shifted_by_one_pixel_as_worked_out_by_hand():
    model = separable(16)
    ready = tfzip.prepare_for_sparse(model)
    received = ready(image(16)).numpy()
    assert received.shape == model(image(16)).shape
    assert abs(received - model(image(16)).numpy()).max() > 1e-3
    np.testing.assert_allclose(received, shifted(model, image(16)), rtol=0, atol=1e-5)


def test_the_model_is_left_as_it_was_and_weights_are_copied(tmp_path):
    model = separable(16)
    before = model(image(16)).numpy()
    ready = tfzip.prepare_for_sparse(model)
    np.testing.assert_array_equal(model(image(16)), before)
    assert by_name(model, "stem").padding == "same"
    for one, other in zip(model.get_weights(), ready.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not {id(v) for v in model.variables} & {id(v) for v in ready.variables}
    ready.save(tmp_path / "ready.keras")
    again = keras.models.load_model(tmp_path / "ready.keras")
    np.testing.assert_array_equal(again(image(16)), ready(image(16)))


def test_the_uneven_padding_of_keras_applications_becomes_even():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=5)
    ready = tfzip.prepare_for_sparse(model)
    assert by_name(model, "block_1_pad").padding == ((0, 1), (0, 1))
    assert by_name(ready, "block_1_pad").padding == ((1, 1), (1, 1))
    assert by_name(ready, "Conv1").padding == "valid"
    assert ready.output_shape == model.output_shape
    assert ready.count_params() == model.count_params()


@pytest.mark.parametrize(
    "stem",
    [
        layers.Conv2D(8, 3, padding="same", name="stem"),
        layers.Conv2D(8, 5, strides=2, padding="same", name="stem"),
        layers.Conv2D(8, 3, strides=2, name="stem"),
    ],
    ids=["no stride", "5x5", "valid"],
)
def test_a_stem_without_a_sparse_kernel_stays_as_it_was(stem):
    ready = tfzip.prepare_for_sparse(separable(16, stem=stem))
    assert by_name(ready, "stem").padding == stem.padding
    assert "stem_pad" not in {layer.name for layer in ready.layers}


def test_an_input_without_three_channels_stays_as_it_was():
    ready = tfzip.prepare_for_sparse(separable(16, channels=1))
    assert by_name(ready, "stem").padding == "same"


def test_padding_that_something_else_reads_stays_as_it_was():
    x = keras.Input((16, 16, 4))
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    y = layers.DepthwiseConv2D(3, strides=2, name="depthwise")(padded)
    ready = tfzip.prepare_for_sparse(keras.Model(x, [y, layers.ReLU()(padded)]))
    assert by_name(ready, "pad").padding == ((0, 1), (0, 1))


def test_a_model_that_cannot_be_flattened_is_refused():
    with pytest.raises(ModelError):
        tfzip.prepare_for_sparse(keras.Sequential([layers.Dense(3)]))


def test_a_convolution_behind_the_last_average_becomes_dense_and_computes_the_same():
    keras.utils.set_random_seed(0)
    x = keras.Input((7, 7, 3))
    y = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(4, 1, activation="relu", use_bias=False, name="squeeze")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    y = layers.Multiply()([y, gate])
    y = layers.Conv2D(8, 1, name="pointwise")(y)
    model = keras.Model(x, layers.Conv2D(5, 1, name="head")(layers.GlobalAveragePooling2D(keepdims=True)(y)))
    ready = tfzip.prepare_for_sparse(model)
    kinds = {layer.name: type(layer).__name__ for layer in ready.layers if layer.weights}
    assert kinds == {
        "stem": "Conv2D", "squeeze": "Conv2D", "excite": "Conv2D", "pointwise": "Conv2D", "head": "Dense"
    }  # fmt: skip
    np.testing.assert_allclose(ready(image(7)), model(image(7)), atol=1e-6)
