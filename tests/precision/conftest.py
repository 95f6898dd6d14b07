"""One warm child converts; each export in earnest starts its own."""

import keras
import numpy as np
import pytest

from tfzip.conversion import export as export_module
from tfzip.sandbox import Sandbox


@pytest.fixture(scope="package", autouse=True)
def _convert_in_the_warm_child():
    with Sandbox() as child, pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "run_isolated", child.call)
        yield


@pytest.fixture(scope="package")
def network():
    """A classifier with a convolution, a transposed one that LiteRT keeps in 8 bits, and dense layers."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Conv2DTranspose(12, 3, strides=2, padding="same", name="up")(x)
    x = keras.layers.Conv2D(24, 3, strides=2, padding="same", activation="relu", name="body")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(33, activation="relu", name="hidden")(x)
    outputs = keras.layers.Dense(5, activation="softmax", name="head")(x)
    model = keras.Model(inputs, outputs, name="small")
    for name in ("up", "body", "hidden", "head"):  # as after training: a file leaves out biases of zeros
        bias = model.get_layer(name).bias
        bias.assign(np.linspace(-0.1, 0.1, bias.shape[0]))
    return model


@pytest.fixture(scope="package")
def images():
    return np.random.default_rng(1).normal(size=(40, 8, 8, 3)).astype(np.float32)
