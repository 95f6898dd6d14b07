"""One training of `bench_search_training`, in a process and on a thread of its own."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from bench_resnet8 import accuracy
from search_plan import CAP, FOUND, STAGES, STOCK, STRIDES, Training, batches

import tfzip
from recipes.fashion_networks import space


def train(kind: str, choices: dict[str, Any], training: Training, target: str) -> dict[str, Any]:
    """Trains a network and measures its int8 file.

    Args:
        kind: Which network.
        choices: Of the network that was found.
        training: How.
        target: Path of the file.

    Returns:
        Counts, bytes, and accuracies on held-out rows and, of the file, on test rows.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(training.seed)
    if kind == FOUND:
        model = space().build(choices)
    else:
        model = stock() if kind == STOCK else scaled(widest(STRIDES[kind]), STRIDES[kind])
    x, y = training.rows("train")
    steps = len(x) // 128
    rate = keras.optimizers.schedules.CosineDecay(training.rate, steps * training.epochs)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fed = batches(x, y, training.seed, training.epochs)
    held = training.rows("held out")
    history = model.fit(fed, steps_per_epoch=steps, epochs=training.epochs, validation_data=held, verbose=0)
    tfzip.export(model, target, scheme="int8", calibration=x[:256])
    return {
        "kind": kind,
        "macs": tfzip.profile(model).macs,
        "parameters": tfzip.profile(model).parameters,
        "bytes": Path(target).stat().st_size,
        "held_out": history.history["val_accuracy"][-1],
        "test": accuracy(Path(target), *training.rows("test")),
    }


def stock() -> keras.Model:
    """Returns the smallest MobileNetV2 of Keras that fills the cap, on images padded to 32 pixels."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Concatenate()([layers.ZeroPadding2D(2)(inputs)] * 3)
    body = keras.applications.MobileNetV2((32, 32, 3), alpha=0.5, weights=None, classes=10)
    return keras.Model(inputs, body(x))


def widest(strides: tuple[int, ...]) -> float:
    """Returns the largest width multiplier in steps of 0.01 at which MobileNetV2 keeps the cap."""
    found = 0.05
    while tfzip.profile(scaled(found + 0.01, strides)).macs <= CAP:
        found += 0.01
    return found


def scaled(multiplier: float, strides: tuple[int, ...]) -> keras.Model:
    """Returns MobileNetV2 for images of 28 pixels, its widths multiplied and rounded to even numbers."""
    layers = keras.layers

    def width(channels: int) -> int:
        return max(4, round(channels * multiplier / 2) * 2)

    def normalized(x: Any) -> Any:
        return layers.BatchNormalization(momentum=0.9)(x)

    x = inputs = keras.Input((28, 28, 1))
    stem = layers.Conv2D(width(32), 3, strides[0], padding="same", use_bias=False)
    x = layers.ReLU(6.0)(normalized(stem(x)))
    for (expansion, channels, repeats), first in zip(STAGES, strides[1:], strict=True):
        for index in range(repeats):
            before, inner, stride = x, x.shape[-1] * expansion, first if index == 0 else 1
            if expansion > 1:
                x = layers.ReLU(6.0)(normalized(layers.Conv2D(inner, 1, use_bias=False)(x)))
            x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
            x = layers.ReLU(6.0)(normalized(x))
            x = normalized(layers.Conv2D(width(channels), 1, use_bias=False)(x))
            if stride == 1 and before.shape[-1] == x.shape[-1]:
                x = layers.Add()([before, x])
    last = max(width(1280), 64)
    x = layers.ReLU(6.0)(normalized(layers.Conv2D(last, 1, use_bias=False)(x)))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax")(x))


def trial(choices: dict[str, Any], training: Training, rows: int) -> dict[str, float]:
    """Returns held-out accuracy of a network of the space that was trained shortly on the first rows."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(training.seed)
    model = space().build(choices)
    x, y = training.rows("train")
    x, y = x[:rows], y[:rows]
    steps = len(x) // 128
    rate = keras.optimizers.schedules.CosineDecay(training.rate, steps * training.epochs)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fed = batches(x, y, training.seed, training.epochs)
    model.fit(fed, steps_per_epoch=steps, epochs=training.epochs, verbose=0)
    outputs = model.predict(training.rows("held out")[0], batch_size=500, verbose=0)
    return {"accuracy": float(np.mean(outputs.argmax(-1) == training.rows("held out")[1]))}
