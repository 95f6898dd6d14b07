"""From a Keras model to a SavedModel with a fixed batch and named inputs and outputs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfzip.artifact import TensorSpec
from tfzip.conversion.converters import SIGNATURE
from tfzip.conversion.float_islands import without_float_islands
from tfzip.conversion.preparation import as_exported
from tfzip.errors import ConversionError
from tfzip.graph.keras_nodes import own_call
from tfzip.graph.signature import input_tree, output_names
from tfzip.schemes import Scheme

_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Trace:
    """A SavedModel on disk that a converter can read without the model's own code.

    Attributes:
        folder: Where it is.
        inputs: Its inputs, batch included.
        outputs: Names of its outputs.
    """

    folder: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]


def fixed_inputs(
    model: keras.Model, batch: int, samples: Sequence[tuple[int, ...]] | None = None
) -> tuple[TensorSpec, ...]:
    """Returns the model's inputs with the batch fixed and, given samples, their open dimensions too.

    Args:
        model: A built model.
        batch: First dimension of every input.
        samples: Shapes of one sample for each input, without the batch. Defaults to None: other open
            dimensions stay open.
    """
    specs = keras.tree.flatten(input_tree(model))
    shapes = samples or [spec.shape[1:] for spec in specs]
    fixed = []
    for spec, sample in zip(specs, shapes, strict=True):
        rest = tuple(s if d == -1 else d for d, s in zip(spec.shape[1:], sample, strict=True))
        fixed.append(replace(spec, shape=(batch, *rest)))
    return tuple(fixed)


def trace(model: keras.Model, folder: Path, inputs: tuple[TensorSpec, ...], scheme: Scheme) -> Trace:
    """Writes the inference graph of a model as a SavedModel.

    Args:
        model: A built model; it is left as it was.
        folder: Where to write, empty or missing.
        inputs: From `fixed_inputs`.
        scheme: What the file will be; decides how recurrent layers are traced.

    Raises:
        ConversionError: The model cannot be called on inputs of these shapes.
    """
    tree = input_tree(model)
    names: list[str] = []

    def serve(*tensors: Any) -> dict[str, Any]:
        arguments = keras.tree.pack_sequence_as(tree, list(tensors))
        outputs = model(arguments, training=False)
        names[:] = output_names(model, outputs)
        flat = keras.tree.flatten(outputs)
        return {name: tf.identity(tensor) for name, tensor in zip(names, flat, strict=True)}

    _check_names(inputs)
    signature = [tf.TensorSpec([None if d == -1 else d for d in s.shape], s.dtype, s.name) for s in inputs]
    function = tf.function(serve, input_signature=signature, autograph=False)
    module = tf.Module()
    module.held = [variable.value for variable in model.variables]
    with own_call(model), as_exported(model, scheme), without_float_islands(model, scheme):
        try:
            module.serve = function
            concrete = function.get_concrete_function()
        except (ValueError, TypeError, tf.errors.OpError) as error:
            shapes = {s.name: s.shape for s in inputs}
            raise ConversionError(
                f"Model {model.name!r} cannot be traced on inputs {shapes}: {_first_line(error)}"
            ) from error
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: concrete})
    return Trace(folder, inputs, tuple(names))


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _check_names(inputs: Sequence[TensorSpec]) -> None:
    for spec in inputs:
        if not _NAME.fullmatch(spec.name):
            raise ConversionError(
                f"The input name {spec.name!r} cannot stand in a signature. Use letters, digits, '_',"
                " '-' and '.': keras.Input(..., name=...)."
            )
