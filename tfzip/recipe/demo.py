"""The model of the packaged recipe on scikit-learn's digits."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

DIGITS_RECIPE = Path(__file__).with_name("digits_demo.toml")


def digits_model() -> "keras.Model":
    """Returns an untrained convolutional network for images of 8x8x1 and ten classes, 24,282 parameters."""
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 1), name="image")
    x = inputs
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        if filters < 64:
            x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(10, activation="softmax", name="digit")(x)
    return keras.Model(inputs, outputs, name="digits")
