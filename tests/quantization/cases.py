"""Sixty-nine small models, one for each layer and kind of graph that quantization has to take.

Every builder takes the Keras it builds with, so that the same model exists in Keras 3 and in `tf_keras` for a
peer that knows only the latter. Images pass a convolution first and other inputs a dense layer, so that the
layer in question sees an activation; a dense layer follows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.quantization.case_graphs import (
    GRAPHS,
    IMAGE,
    SERIES,
    VECTOR,
    VOLUME,
    Build,
    locally_connected,
    model,
    pair,
)


def build(name: str, k: Any) -> Any:
    """Returns the model of a case with weights as after training.

    Args:
        name: A key of `CASES`.
        k: `keras` or `tf_keras`.
    """
    k.utils.set_random_seed(3)
    return _trained(CASES[name](k))


def samples(model: Any, count: int = 32, seed: int = 5) -> list[np.ndarray]:
    """Returns one array of random samples for each input; every fourth time step of a series is zero."""
    rng = np.random.default_rng(seed)
    arrays = []
    declared = [(tensor.shape[1:], str(tensor.dtype)) for tensor in getattr(model, "inputs", None) or ()]
    for one, dtype in declared or [(IMAGE, "float32")]:
        shape = (count, *one)
        if "int" in dtype:
            arrays.append(rng.integers(0, 9, shape).astype("int32"))
            continue
        values = rng.normal(size=shape).astype("float32")
        if len(shape) == 3:
            values[:, 3::4] = 0.0
        arrays.append(values)
    return arrays


def _trained(model: Any) -> Any:
    """Gives biases, statistics and scales values of their own."""
    rng = np.random.default_rng(11)
    for variable in model.weights:
        name = getattr(variable, "path", variable.name)
        noise = rng.normal(size=variable.shape)
        if any(word in name for word in ("gamma", "variance")):
            variable.assign((1 + 0.5 * np.abs(noise)).astype("float32"))
        elif any(word in name for word in ("bias", "beta", "mean", "alpha")):
            variable.assign((0.2 * noise).astype("float32"))
    return model


def _after_stem(shape: tuple[int, ...], make: Callable[[Any], Any]) -> Build:
    return lambda k: model(k, shape, make(k))


def _merging(shape: tuple[int, ...], make: Callable[[Any], Any]) -> Build:
    return lambda k: pair(k, shape, lambda a, b: make(k)([a, b]))


def _activation(function: str) -> Build:
    return lambda k: model(k, IMAGE, k.layers.Activation(function, name="layer"))


_LAYERS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "conv2d": (IMAGE, lambda k: k.layers.Conv2D(5, 3, activation="relu", name="layer")),
    "depthwise_conv2d": (IMAGE, lambda k: k.layers.DepthwiseConv2D(3, name="layer")),
    "conv2d_transpose": (IMAGE, lambda k: k.layers.Conv2DTranspose(3, 3, strides=2, name="layer")),
    "separable_conv2d": (IMAGE, lambda k: k.layers.SeparableConv2D(5, 3, name="layer")),
    "softmax": (IMAGE, lambda k: k.layers.Softmax(name="layer")),
    "leaky_relu": (IMAGE, lambda k: k.layers.LeakyReLU(name="layer")),
    "cropping2d": (IMAGE, lambda k: k.layers.Cropping2D(1, name="layer")),
    "cropping3d": (VOLUME, lambda k: k.layers.Cropping3D(1, name="layer")),
    "up_sampling2d": (IMAGE, lambda k: k.layers.UpSampling2D(2, name="layer")),
    "zero_padding2d": (IMAGE, lambda k: k.layers.ZeroPadding2D(1, name="layer")),
    "conv1d": (SERIES, lambda k: k.layers.Conv1D(5, 3, padding="causal", name="layer")),
    "conv3d": (VOLUME, lambda k: k.layers.Conv3D(3, 2, name="layer")),
    "depthwise_conv1d": (SERIES, lambda k: k.layers.DepthwiseConv1D(3, name="layer")),
    "separable_conv1d": (SERIES, lambda k: k.layers.SeparableConv1D(5, 3, name="layer")),
    "conv1d_transpose": (SERIES, lambda k: k.layers.Conv1DTranspose(3, 3, strides=2, name="layer")),
    "layer_normalization": (SERIES, lambda k: k.layers.LayerNormalization(name="layer")),
    "group_normalization": (IMAGE, lambda k: k.layers.GroupNormalization(2, name="layer")),
    "unit_normalization": (SERIES, lambda k: k.layers.UnitNormalization(name="layer")),
    "lstm": (SERIES, lambda k: k.layers.LSTM(5, name="layer")),
    "gru": (SERIES, lambda k: k.layers.GRU(5, name="layer")),
    "simple_rnn": (SERIES, lambda k: k.layers.SimpleRNN(5, name="layer")),
    "bidirectional": (SERIES, lambda k: k.layers.Bidirectional(k.layers.LSTM(3), name="layer")),
    "time_distributed": (SERIES, lambda k: k.layers.TimeDistributed(k.layers.Dense(5), name="layer")),
    "prelu": (IMAGE, lambda k: k.layers.PReLU(shared_axes=[1, 2], name="layer")),
    "elu_layer": (IMAGE, lambda k: k.layers.ELU(name="layer")),
    "max_pooling1d": (SERIES, lambda k: k.layers.MaxPooling1D(2, name="layer")),
    "max_pooling3d": (VOLUME, lambda k: k.layers.MaxPooling3D(2, name="layer")),
    "up_sampling1d": (SERIES, lambda k: k.layers.UpSampling1D(2, name="layer")),
    "up_sampling3d": (VOLUME, lambda k: k.layers.UpSampling3D(2, name="layer")),
    "zero_padding3d": (VOLUME, lambda k: k.layers.ZeroPadding3D(1, name="layer")),
    "repeat_vector": (VECTOR, lambda k: k.layers.RepeatVector(3, name="layer")),
    "locally_connected2d": (IMAGE, locally_connected),
    "gaussian_noise": (IMAGE, lambda k: k.layers.GaussianNoise(0.1, name="layer")),
    "alpha_dropout": (IMAGE, lambda k: k.layers.AlphaDropout(0.2, name="layer")),
    "einsum_dense": (
        SERIES,
        lambda k: k.layers.EinsumDense("abc,cd->abd", (6, 5), bias_axes="d", name="layer"),
    ),
    "lambda": (IMAGE, lambda k: k.layers.Lambda(lambda x: x * 0.5 + 1.0, name="layer")),
}
_MERGES: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "concatenate": (IMAGE, lambda k: k.layers.Concatenate(name="layer")),
    "add": (IMAGE, lambda k: k.layers.Add(name="layer")),
    "subtract": (IMAGE, lambda k: k.layers.Subtract(name="layer")),
    "average": (IMAGE, lambda k: k.layers.Average(name="layer")),
    "maximum": (IMAGE, lambda k: k.layers.Maximum(name="layer")),
    "minimum": (IMAGE, lambda k: k.layers.Minimum(name="layer")),
    "dot": (SERIES, lambda k: k.layers.Dot(axes=2, name="layer")),
    "attention": (SERIES, lambda k: k.layers.Attention(name="layer")),
}
_FUNCTIONS = ("swish", "gelu", "hard_sigmoid", "elu", "selu", "mish", "softplus")

CASES: dict[str, Build] = {name: _after_stem(shape, make) for name, (shape, make) in _LAYERS.items()}
CASES |= {name: _merging(shape, make) for name, (shape, make) in _MERGES.items()}
CASES |= {name: _activation(name) for name in _FUNCTIONS}
CASES |= GRAPHS
