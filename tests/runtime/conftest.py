"""Small models and their files, converted once for all tests here."""

import keras
import numpy as np
import pytest

from tests.runtime.files import convert


def branches():
    """Two named inputs, fused and unfused layers, a residual, a classifier and a regression."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image, side = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="side")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    y = layers.ReLU(6.0, name="depthwise_relu")(y)
    y = layers.Conv2D(8, 1, activation="relu", name="pointwise")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Concatenate(name="join")([x, side])
    outputs = {
        "probs": layers.Dense(5, activation="softmax", name="head")(x),
        "value": layers.Dense(1, name="value")(x),
    }
    model = keras.Model({"image": image, "side": side}, outputs)
    for seed, norm in enumerate(("stem_norm", "depthwise_norm")):
        layer, rng = model.get_layer(norm), np.random.default_rng(seed)
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    image, side = rng.uniform(-1, 1, (count, 8, 8, 3)), rng.uniform(-1, 1, (count, 4))
    return {"image": image.astype(np.float32), "side": side.astype(np.float32)}


@pytest.fixture(scope="session")
def model():
    return branches()


@pytest.fixture(scope="session")
def files(model, tmp_path_factory):
    """Returns a function from scheme and batch to a converted file."""
    folder, made = tmp_path_factory.mktemp("files"), {}

    def file(scheme="float32", batch=1):
        if (scheme, batch) not in made:
            path = folder / f"{scheme}_{batch}.tflite"
            convert(model, path, scheme, batch, samples(64, seed=7))
            made[scheme, batch] = path
        return made[scheme, batch]

    return file
