"""A small network, data, and an observer of zeros, shared by the tests of pruning."""

import keras
import numpy as np


def network(**conv_options) -> keras.Model:
    """Returns an image classifier with a convolution, a depthwise one, a normalization and a dense layer."""
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, name="conv", **conv_options),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.DepthwiseConv2D(3, name="depthwise"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(10, name="head"),
        ]
    )


def compiled(model: keras.Model, optimizer="adam", **options) -> keras.Model:
    """Compiles for integer labels and returns the model."""
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    return model


def images(count: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Returns noise with labels."""
    rng = np.random.default_rng(3)
    return rng.random((count, 8, 8, 3), dtype=np.float32), rng.integers(0, 10, count)


def zeros_of(variable) -> int:
    """Counts the zeros of a variable."""
    values = variable.numpy()
    return int(values.size - np.count_nonzero(values))


class ZeroObserver(keras.callbacks.Callback):
    """Notes at each batch end how many zeros each kernel of `network` has."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append({name: zeros_of(self.model.get_layer(name).weights[0]) for name in SIZES})


SIZES = {"conv": 216, "depthwise": 72, "head": 1280}
