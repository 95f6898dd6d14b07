"""Networks to remove channels from: stock ones, a vision transformer, a Conformer, and ever deeper ones."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

STOCK = (
    *("VGG16", "VGG19"),
    *("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    *("DenseNet121", "DenseNet169", "DenseNet201"),
    *("InceptionV3", "InceptionResNetV2", "Xception"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "NASNetMobile"),
    *("EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4"),
    *("EfficientNetB7", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
    *("EfficientNetV2S", "ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase"),
)
SIZE = {"NASNetMobile": 224}


def stock(name: str) -> keras.Model:
    """Returns a network of `keras.applications` for ten classes on small images."""
    side = SIZE.get(name, 96)
    make = getattr(keras.applications, name)
    return make(weights=None, input_shape=(side, side, 3), classes=10, classifier_activation=None)


def vision_transformer() -> keras.Model:
    """Returns a small vision transformer (Dosovitskiy et al. 2021) that averages its tokens."""
    x = inputs = keras.Input((64, 64, 3))
    x = layers.Reshape((64, 96))(layers.Conv2D(96, 8, 8)(x))
    for _ in range(6):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(6, 16)(y, y)])
        y = layers.Dense(384, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(96)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="vision_transformer")


def conformer() -> keras.Model:
    """Returns a small Conformer (Gulati et al. 2020) on frames of sound, without relative positions."""
    x = inputs = keras.Input((80, 40))
    x = layers.Dense(64)(x)
    for _ in range(4):
        x = x + 0.5 * _feed_forward(x)
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16)(y, y)
        x = x + _convolution(x)
        x = layers.LayerNormalization()(x + 0.5 * _feed_forward(x))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)), name="conformer")


def _feed_forward(x: keras.KerasTensor) -> keras.KerasTensor:
    y = layers.Dense(256, activation="swish")(layers.LayerNormalization()(x))
    return layers.Dense(64)(y)


def _convolution(x: keras.KerasTensor) -> keras.KerasTensor:
    y = layers.Conv1D(128, 1)(layers.LayerNormalization()(x))
    values, gates = ops.split(y, 2, axis=-1)
    y = layers.DepthwiseConv1D(15, padding="same")(values * ops.sigmoid(gates))
    return layers.Conv1D(64, 1)(ops.silu(layers.BatchNormalization()(y)))


def chain(depth: int) -> keras.Model:
    """Returns convolutions one after another."""
    x = inputs = keras.Input((8, 8, 16))
    for _ in range(depth):
        x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def residual(depth: int) -> keras.Model:
    """Returns blocks of two convolutions and an addition, with as many convolutions as the depth."""
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same")(x)
    for _ in range(depth // 2):
        y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
        x = layers.Add()([x, layers.Conv2D(16, 3, padding="same")(y)])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    **{name: (lambda name=name: stock(name)) for name in STOCK},
    "VisionTransformer": vision_transformer,
    "Conformer": conformer,
}
DEEP: dict[str, Callable[[int], keras.Model]] = {"chain": chain, "residual": residual}


def randomize(model: keras.Model, rng: np.random.Generator) -> None:
    """Gives scales, biases and statistics values that are all different."""
    for variable in model.weights:
        if "variance" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(variable.numpy() + rng.normal(0, 0.1, variable.shape))
