"""Models of several layers: what a table of layers cannot say."""

from collections.abc import Callable
from typing import Any

import numpy as np

IMAGE, SERIES, VOLUME, VECTOR = (8, 8, 3), (6, 4), (4, 4, 4, 2), (6,)
Build = Callable[[Any], Any]
GRAPHS: dict[str, Build] = {}


def model(k: Any, shape: tuple[int, ...], *steps: Any) -> Any:
    """Returns a model in which a stem, the steps and a dense layer follow each other."""
    stem = (
        k.layers.Conv2D(4, 3, padding="same", name="stem")
        if shape == IMAGE
        else k.layers.Dense(4, name="stem")
    )
    return plain(k, shape, stem, *steps)


def plain(k: Any, shape: tuple[int, ...], *steps: Any, dtype: str = "float32") -> Any:
    """Returns a model without a stem."""
    x = inputs = k.Input(shape, dtype=dtype, name="x")
    for step in steps:
        x = step(x)
    if len(x.shape) > 2:
        x = k.layers.Flatten(name="flatten")(x)
    return k.Model(inputs, k.layers.Dense(3, name="head")(x))


def pair(k: Any, shape: tuple[int, ...], merge: Callable[[Any, Any], Any]) -> Any:
    """Returns a model that merges two branches of an image or a series."""
    make = (
        (lambda n: k.layers.Conv2D(4, 3, padding="same", name=n))
        if shape == IMAGE
        else (lambda n: k.layers.Dense(4, name=n))
    )
    x = inputs = k.Input(shape, name="x")
    x = merge(make("left")(x), make("right")(x))
    if len(x.shape) > 2:
        x = k.layers.Flatten(name="flatten")(x)
    return k.Model(inputs, k.layers.Dense(3, name="head")(x))


def case(function: Build) -> Build:
    """Adds a builder under its name."""
    GRAPHS[function.__name__] = function
    return function


@case
def dense(k: Any) -> Any:
    """Two dense layers, one with an activation of its own."""
    return plain(k, VECTOR, k.layers.Dense(8, activation="relu", name="layer"))


@case
def relu(k: Any) -> Any:
    """Folded into a sum, and with a bound of its own."""
    return pair(
        k,
        IMAGE,
        lambda a, b: k.layers.ReLU(4.0, name="clip")(k.layers.ReLU(name="layer")(k.layers.Add()([a, b]))),
    )


@case
def dropout(k: Any) -> Any:
    """Both kinds, which the file does not have."""
    return model(
        k, IMAGE, k.layers.SpatialDropout2D(0.2, name="channels"), k.layers.Dropout(0.2, name="layer")
    )


@case
def reshape(k: Any) -> Any:
    """Permute, reshape and flatten."""
    return model(k, IMAGE, k.layers.Permute((3, 1, 2), name="turn"), k.layers.Reshape((8, 32), name="layer"))


@case
def padding1d(k: Any) -> Any:
    """A series cut at its ends and filled up with zeros."""
    return model(k, SERIES, k.layers.Cropping1D(1, name="cut"), k.layers.ZeroPadding1D(2, name="layer"))


@case
def pooling2d(k: Any) -> Any:
    """Largest values, then averages."""
    return model(
        k, IMAGE, k.layers.MaxPooling2D(2, name="largest"), k.layers.AveragePooling2D(2, name="layer")
    )


@case
def global_pooling2d(k: Any) -> Any:
    """Averages and largest values over all positions, side by side."""
    x = inputs = k.Input(IMAGE, name="x")
    x = k.layers.Conv2D(4, 3, name="stem")(x)
    both = [k.layers.GlobalAveragePooling2D(name="mean")(x), k.layers.GlobalMaxPooling2D(name="largest")(x)]
    return k.Model(inputs, k.layers.Dense(3, name="head")(k.layers.Concatenate(name="layer")(both)))


@case
def batch_normalization(k: Any) -> Any:
    """Before an activation and after a sum: nothing to fold it into."""

    def merge(a: Any, b: Any) -> Any:
        return k.layers.ReLU(name="relu")(k.layers.BatchNormalization(name="layer")(k.layers.Add()([a, b])))

    return pair(k, IMAGE, merge)


@case
def embedding(k: Any) -> Any:
    """Rows of a table, chosen by integers."""
    return plain(k, (5,), k.layers.Embedding(9, 4, name="layer"), dtype="int32")


@case
def rescaling(k: Any) -> Any:
    """On the input, as preprocessing."""
    return plain(k, IMAGE, k.layers.Rescaling(0.5, -0.25, name="layer"), k.layers.Conv2D(4, 3, name="conv"))


@case
def normalization(k: Any) -> Any:
    """On the input, as preprocessing."""
    layer = k.layers.Normalization(mean=[0.1, 0.2, -0.1], variance=[1.5, 0.7, 1.1], name="layer")
    return plain(k, IMAGE, layer, k.layers.Conv2D(4, 3, name="conv"))


@case
def resizing(k: Any) -> Any:
    """On the input, as preprocessing."""
    return plain(k, IMAGE, k.layers.Resizing(6, 6, name="layer"), k.layers.Conv2D(4, 3, name="conv"))


@case
def masking(k: Any) -> Any:
    """Steps of zeros, which a recurrent layer skips."""
    return plain(k, SERIES, k.layers.Masking(name="layer"), k.layers.GRU(4, name="gru"))


@case
def nested_model(k: Any) -> Any:
    """A model inside a model."""
    x = k.Input(IMAGE)
    y = k.layers.ReLU(name="relu")(
        k.layers.BatchNormalization(name="norm")(k.layers.Conv2D(4, 3, name="conv")(x))
    )
    return plain(k, IMAGE, k.Model(x, y, name="layer"))


@case
def multiply(k: Any) -> Any:
    """A squeeze-and-excite block."""
    x = inputs = k.Input(IMAGE, name="x")
    x = k.layers.Conv2D(4, 3, activation="relu", name="stem")(x)
    y = k.layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    y = k.layers.Conv2D(2, 1, activation="relu", name="reduce")(y)
    y = k.layers.Conv2D(4, 1, activation="sigmoid", name="excite")(y)
    x = k.layers.Flatten(name="flatten")(k.layers.Multiply(name="layer")([x, y]))
    return k.Model(inputs, k.layers.Dense(3, name="head")(x))


@case
def multi_head_attention(k: Any) -> Any:
    """Self-attention of two heads."""
    x = inputs = k.Input(SERIES, name="x")
    x = k.layers.Dense(4, name="stem")(x)
    x = k.layers.MultiHeadAttention(2, 2, name="layer")(x, x)
    return k.Model(inputs, k.layers.Dense(3, name="head")(k.layers.Flatten(name="flatten")(x)))


@case
def operations(k: Any) -> Any:
    """A graph of functions and operators without layers."""
    if hasattr(k, "ops"):
        relu, mean, reshape = k.ops.relu, k.ops.mean, k.ops.reshape
    else:
        import tensorflow as tf

        relu, mean, reshape = tf.nn.relu, tf.reduce_mean, tf.reshape
    x = inputs = k.Input(IMAGE, name="x")
    x = k.layers.Conv2D(4, 3, padding="same", name="stem")(x)
    x = relu(x + 0.5) * 0.5 - mean(x, axis=-1, keepdims=True)
    return k.Model(inputs, k.layers.Dense(3, name="head")(reshape(x[:, 1:7, ::2], (-1, 96))))


@case
def subclassed(k: Any) -> Any:
    """A user's model class with a user's layer in it."""

    class Block(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.conv = k.layers.Conv2D(4, 3, padding="same", name="conv")
            self.norm = k.layers.BatchNormalization(name="norm")

        def call(self, x: Any, training: Any = None) -> Any:
            return x + self.norm(self.conv(x), training=training)

    class Net(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.stem = k.layers.Conv2D(4, 3, activation="relu", name="stem")
            self.block = Block(name="layer")
            self.pool = k.layers.GlobalAveragePooling2D(name="pool")
            self.head = k.layers.Dense(3, name="head")

        def call(self, x: Any, training: Any = None) -> Any:
            return self.head(self.pool(self.block(self.stem(x), training=training)))

    net = Net()
    net(np.zeros((1, *IMAGE), "float32"))
    return net


def locally_connected(k: Any) -> Any:
    """Returns Keras 2's layer; Keras 3 has none, and what its users write owns a variable."""
    if hasattr(k.layers, "LocallyConnected2D"):
        return k.layers.LocallyConnected2D(3, 2, name="layer")

    class LocallyConnected2D(k.layers.Layer):
        def build(self, shape: Any) -> None:
            _, height, width, channels = shape
            kernel = (height // 2, width // 2, 4 * channels, 3)
            self.kernel = self.add_weight(shape=kernel, initializer="glorot_uniform", name="kernel")

        def call(self, x: Any) -> Any:
            height, width, patch, _ = self.kernel.shape
            x = k.ops.reshape(x, (-1, height, 2, width, 2, patch // 4))
            x = k.ops.reshape(k.ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, patch, 1))
            return k.ops.sum(x * self.kernel, axis=3)

    return LocallyConnected2D(name="layer")
