"""Networks for CIFAR-10's images of 0 to 255, which recipes name as `recipes.cifar10_networks:teacher`."""

from typing import Any

import keras

_WIDTHS = (16, 32, 64)  # of ResNet-8


def teacher() -> keras.Model:
    """Returns a wide network without branches, 65 million multiply-accumulates, 0.5 million parameters."""
    layers = keras.layers
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 64, -2)(x)
    x = _convolved(x, 24, "stem")
    for width, stage in ((64, 1), (128, 2), (128, 3)):
        x = _convolved(x, width, f"stage{stage}_first", pooled=True)
        x = _convolved(x, width, f"stage{stage}_second")
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax")(x), name="teacher")


def resnet8() -> keras.Model:
    """Returns the network of MLPerf Tiny (Banbury et al. 2021) with random weights."""
    layers = keras.layers
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 64, -2)(x)
    x = _convolved(x, _WIDTHS[0], "stem")
    for stage, width in enumerate(_WIDTHS, 1):
        stride = 1 if stage == 1 else 2
        y = _convolved(x, width, f"stage{stage}_first", stride)
        y = _normalized(y, width, f"stage{stage}_second")
        if stride > 1:
            x = layers.Conv2D(width, 1, stride, padding="same", name=f"stage{stage}_shortcut")(x)
        x = layers.ReLU(name=f"stage{stage}_out")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax")(x), name="resnet8")


def _convolved(x: Any, width: int, name: str, stride: int = 1, *, pooled: bool = False) -> Any:
    x = _normalized(x, width, name, stride, pooled=pooled)
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _normalized(x: Any, width: int, name: str, stride: int = 1, *, pooled: bool = False) -> Any:
    layers = keras.layers
    x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    if pooled:
        x = layers.MaxPooling2D()(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
