"""Networks with the connections that equalization, rounding and bias correction have to understand."""

import keras
import numpy as np
from keras import layers


def conv_norm(x, filters, size=3, strides=1, kind=layers.Conv2D, name="", **options):
    if kind is layers.DepthwiseConv2D:
        x = kind(size, strides, padding="same", use_bias=False, name=name)(x)
    else:
        x = kind(filters, size, strides, padding="same", use_bias=False, name=name, **options)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def residual_net() -> keras.Model:
    """Two residual sums through ReLU, a grouped convolution, pooling, a dense head."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.ReLU(name="stem_relu")(conv_norm(inputs, 8, name="stem"))
    y = layers.ReLU(name="a_relu")(conv_norm(x, 8, name="a"))
    y = conv_norm(y, 8, groups=2, name="b")
    x = layers.ReLU(name="sum_relu")(layers.Add(name="sum")([x, y]))
    y = layers.Conv2D(12, 3, 2, padding="same", activation="relu", name="c")(x)
    z = layers.Conv2D(12, 1, 2, name="short")(x)
    x = layers.ReLU(name="end_relu")(layers.Add(name="end")([y, z]))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return trained(
        keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(x), name="residual")
    )


def inverted_net(activation="relu6") -> keras.Model:
    """Inverted residuals as in MobileNetV2: linear bottlenecks and a residual sum."""
    keras.utils.set_random_seed(2)

    def act(x, name):
        return (
            layers.ReLU(6, name=name)(x)
            if activation == "relu6"
            else layers.Activation(activation, name=name)(x)
        )

    inputs = keras.Input((8, 8, 3), name="image")
    x = act(conv_norm(inputs, 8, strides=2, name="stem"), "stem_act")
    x = conv_norm(x, 4, 1, name="project_0")
    for index in (1, 2):
        y = act(conv_norm(x, 16, 1, name=f"expand_{index}"), f"expand_act_{index}")
        y = act(
            conv_norm(y, 0, kind=layers.DepthwiseConv2D, name=f"depthwise_{index}"), f"depthwise_act_{index}"
        )
        x = layers.Add(name=f"add_{index}")([x, conv_norm(y, 4, 1, name=f"project_{index}")])
    x = layers.GlobalAveragePooling2D(name="pool")(act(conv_norm(x, 16, 1, name="last"), "last_act"))
    return trained(keras.Model(inputs, layers.Dense(5, name="head")(x), name="inverted"))


def squeeze_net() -> keras.Model:
    """Squeeze-and-excitation through ReLU, and a separable convolution."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.ReLU(name="stem_relu")(conv_norm(inputs, 8, name="stem"))
    s = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    s = layers.Conv2D(2, 1, activation="relu", name="reduce")(s)
    s = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(s)
    x = layers.Multiply(name="gate")([x, s])
    x = layers.SeparableConv2D(12, 3, padding="same", activation="relu", name="separable")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return trained(keras.Model(inputs, layers.Dense(5, name="head")(x), name="squeeze"))


def trained(model: keras.Model) -> keras.Model:
    """Gives a model the uneven channels, statistics and biases that training leaves."""
    rng = np.random.default_rng(4)
    for weight in model.weights:
        shape = weight.shape
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(np.exp(rng.normal(size=shape) * 0.7))
        elif len(shape) == 1:
            weight.assign(rng.normal(size=shape) * 0.2)
        else:
            weight.assign(np.asarray(weight) * np.exp(rng.normal(size=shape[-2:]) * 0.8))
    return model


def pictures(count: int = 64, seed: int = 0) -> np.ndarray:
    """Returns smooth noise: (count, 8, 8, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 4, 4, 3)).astype(np.float32)
    return (
        coarse.repeat(2, axis=1).repeat(2, axis=2)
        + rng.normal(size=(count, 8, 8, 3)).astype(np.float32) * 0.3
    )
