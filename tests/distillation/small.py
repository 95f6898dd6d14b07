"""Small teachers and students."""

import keras
import numpy as np

LABELS = {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}


def network(width=4, *, classes=3, end=None, name=None, penalty=None):
    """Returns a convolutional net of two resolutions with normalization, for 8 x 8 images of 2 channels."""
    layers = keras.layers
    regularizer = keras.regularizers.L2(penalty) if penalty else None
    x = inputs = keras.Input((8, 8, 2))
    for stage in range(2):
        x = layers.Conv2D(
            width << stage, 3, stage + 1, padding="same", name=f"conv{stage}", kernel_regularizer=regularizer
        )(x)
        x = layers.BatchNormalization(name=f"norm{stage}")(x)
        x = layers.ReLU(name=f"relu{stage}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(classes, end, name="head")(x), name=name)


class Subclassed(keras.Model):
    """The same as people write it, with a layer inside a layer."""

    def __init__(self, width=4, classes=3):
        super().__init__()
        self.features = [
            keras.layers.Conv2D(width << stage, 3, stage + 1, padding="same") for stage in range(2)
        ]
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(classes)

    def call(self, x):
        for layer in self.features:
            x = keras.ops.relu(layer(x))
        return self.head(self.pool(x))


def samples(count=24, seed=0):
    """Returns images and the class that is the sum of a corner, which can be learned."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 8, 8, 2)).astype(np.float32)
    return x, np.digitize(x[:, :4, :4].mean((1, 2, 3)), [-0.08, 0.08])
