"""The Keras 2 model itself is the oracle: random weights, random inputs, same outputs."""

import numpy as np
import tensorflow as tf
import tf_keras


def shake(model, seed=0):
    """Replaces every float weight, since zeros and ones would hide a swap of two weights of equal shape."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype.is_floating:
            weight.assign(rng.uniform(0.1, 0.6, weight.shape))
    return model


def samples_for(model, seed=1, high=4):
    rng = np.random.default_rng(seed)
    arrays = [
        tf.constant(
            rng.normal(size=shape) if tensor.dtype.is_floating else rng.integers(0, high, shape), tensor.dtype
        )
        for tensor in model.inputs
        for shape in [[d or 3 for d in tensor.shape]]
    ]
    return tf.nest.pack_sequence_as(model.input, arrays)


def outputs_of(model, samples):
    return [np.asarray(t) for t in tf.nest.flatten(model(samples, training=False))]


def assert_same(old, new, samples=None, tolerance=1e-5):
    samples = samples_for(old) if samples is None else samples
    expected, received = outputs_of(old, samples), outputs_of(new, samples)
    assert len(expected) == len(received)
    for a, b in zip(expected, received, strict=True):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * max(1e-30, np.abs(a).max()))


def sequential(shape, *layers, dtype="float32"):
    return shake(tf_keras.Sequential([tf_keras.layers.Input(shape, dtype=dtype), *layers]))
