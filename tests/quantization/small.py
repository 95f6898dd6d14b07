"""Small networks and data for the tests of quantization."""

import keras
import numpy as np


def network() -> keras.Model:
    """Returns an image classifier with every kind of folding, a residual sum, a concatenation and pooling."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = keras.layers.BatchNormalization(name="stem_norm")(x)
    x = skip = keras.layers.ReLU(name="stem_relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="depthwise_norm")(x)
    x = keras.layers.ReLU(6, name="depthwise_relu")(x)
    x = keras.layers.Conv2D(8, 1, name="project")(x)
    x = keras.layers.Add(name="add")([x, skip])
    side = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="side")(skip)
    x = keras.layers.Concatenate(name="join")([keras.layers.AveragePooling2D(2, name="pool")(x), side])
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="head")(x), name="small")


def compiled(model: keras.Model, optimizer="adam", **options) -> keras.Model:
    """Compiles for integer labels and returns the model."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    return model


def images(count: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Returns noise with labels that a linear map could find."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, 8, 8, 3)).astype(np.float32)
    return x, (x.reshape(count, -1) @ rng.normal(size=(192, 10))).argmax(axis=1)
