"""Runs a Keras 2 model and its Keras 3 counterpart on the same random samples."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzip.errors import ModelError
from tfzip.legacy.convert import Conversion
from tfzip.legacy.door import tf_keras

_BATCH = 2
_OPEN_SIZE = 32
_TOLERANCE = {"float16": 2e-2, "bfloat16": 1e-1}
_DEFAULT_TOLERANCE = 2e-5
_VOCABULARIES = {"Embedding": "input_dim", "CategoryEncoding": "num_tokens"}


def check_same_outputs(model: Any, conversion: Conversion) -> None:
    """Raises `ModelError` naming the first layer whose output differs; leaves the Keras 2 model as it was.

    The difference is relative to the largest value of the output, 2e-5 in float32. A model whose own outputs
    are random (dropout called with `training=True`) is not compared.

    Args:
        model: The Keras 2 model.
        conversion: Its counterpart.
    """
    samples = _samples(model)
    with _unchanged(model):
        expected = _run(model, samples)
        received = _run(conversion.model, samples)
        if _all_near(expected, received) or not _all_near(expected, _run(model, samples)):
            return
        _blame(model, conversion, samples)
    raise ModelError(f"The converted model {model.name!r} gives other outputs than the original.")


def _blame(model: Any, conversion: Conversion, samples: Any) -> None:
    steps = [step for step in conversion.steps if isinstance(step.new, keras.KerasTensor)]
    old = tf_keras().Model(model.inputs, [step.old for step in steps])
    new = keras.Model(conversion.inputs, [step.new for step in steps])
    flat = tf.nest.flatten(samples)
    for step, expected, received in zip(steps, _run(old, flat), _run(new, flat), strict=True):
        if not _all_near([expected], [received]):
            raise ModelError(
                f"Layer {step.layer!r} gives another output in Keras 3 than in Keras 2 "
                f"({_difference(expected, received)}). Rebuild that layer in Keras 3, or save the model as a "
                "SavedModel and load the folder."
            )


def _run(model: Any, samples: Any) -> list[Any]:
    return [np.asarray(tensor) for tensor in tf.nest.flatten(model(samples, training=False))]


def _all_near(expected: list[Any], received: list[Any]) -> bool:
    return all(_is_near(a, b) for a, b in zip(expected, received, strict=True))


def _is_near(expected: Any, received: Any) -> bool:
    if expected.shape != received.shape:
        return False
    if not np.issubdtype(expected.dtype, np.floating) and expected.dtype.name != "bfloat16":
        return bool(np.array_equal(expected, received))
    tolerance = _TOLERANCE.get(expected.dtype.name, _DEFAULT_TOLERANCE)
    wide, other = expected.astype(np.float64), received.astype(np.float64)
    finite = np.abs(wide[np.isfinite(wide)])
    scale = float(finite.max()) if finite.size else 1.0
    return bool(np.allclose(other, wide, rtol=0.0, atol=tolerance * scale, equal_nan=True))


def _difference(expected: Any, received: Any) -> str:
    if expected.shape != received.shape:
        return f"shape {received.shape} instead of {expected.shape}"
    gap = np.abs(expected.astype(np.float64) - received.astype(np.float64)).max()
    return f"by up to {gap:.3g}, values reach {np.abs(expected.astype(np.float64)).max():.3g}"


def _samples(model: Any) -> Any:
    """Returns random inputs in the model's structure: normal floats, or indices where they are looked up."""
    rng = np.random.default_rng(0)
    sizes = [
        int(getattr(module, _VOCABULARIES[type(module).__name__]))
        for module in model.submodules
        if type(module).__name__ in _VOCABULARIES
    ]
    arrays = []
    for tensor in model.inputs:
        dims = tensor.shape.as_list()
        shape = [d or (_OPEN_SIZE if i else _BATCH) for i, d in enumerate(dims)]
        if sizes or not tensor.dtype.is_floating:
            values: Any = rng.integers(0, min(sizes, default=2), size=shape)
        else:
            values = rng.normal(size=shape)
        arrays.append(tf.constant(values, dtype=tensor.dtype))
    return tf.nest.pack_sequence_as(model.input, arrays)


@contextlib.contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Puts weights and states back, since pruning wrappers and stateful layers change them on a call."""
    recurrent = [m for m in model.submodules if getattr(m, "stateful", False) and hasattr(m, "reset_states")]
    states = [s for m in recurrent for s in tf.nest.flatten(getattr(m, "states", None)) if s is not None]
    kept = [(variable, variable.numpy()) for variable in [*model.variables, *states]]
    for state in states:
        state.assign(tf.zeros_like(state))
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
