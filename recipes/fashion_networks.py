"""Networks for Fashion-MNIST's images, which recipes name as `recipes.fashion_networks:space`."""

import keras

from tfzip.nas.spaces import ModelSpace, mobilenet


def baseline() -> keras.Model:
    """Returns a small convolutional network, which says what goes in and what comes out."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, 2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, 2, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, "softmax"),
        ]
    )


def space() -> ModelSpace:
    """Returns networks of MobileNet blocks in three stages, of 14, 7 and 7 pixels a side."""
    return mobilenet((28, 28, 1), 10, widths=(8, 16, 32), strides=(2, 2, 1), most_blocks=3)
