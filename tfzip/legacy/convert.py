"""Replays a Keras 2 graph on Keras 3 tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras
import tensorflow as tf

from tfzip.errors import ModelError, TfzipError, one_line
from tfzip.graph.keras_nodes import producer
from tfzip.legacy.arguments import keras3_name
from tfzip.legacy.door import tf_keras
from tfzip.legacy.keras2_nodes import Call, calls, is_operation, is_tensor, require_graph
from tfzip.legacy.layers import LayerConverter
from tfzip.legacy.operations import apply_operation
from tfzip.legacy.wrappers import inside


@dataclass(frozen=True)
class Step:
    """A layer's output in both models, to find where they part.

    Attributes:
        layer: Name of the Keras 2 layer.
        old: Keras 2 tensor.
        new: Keras 3 tensor.
    """

    layer: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Conversion:
    """A Keras 3 model and what each of its tensors was before.

    Attributes:
        model: The Keras 3 model with its weights.
        inputs: Inputs of the graph that `steps` belongs to, in the order of the Keras 2 model's.
        steps: Tensors of both models, in the order of computation.
    """

    model: keras.Model
    inputs: list[Any]
    steps: list[Step]


def convert_model(model: Any, *, unsafe: bool = False) -> Conversion:
    """Converts a Sequential or Functional `tf_keras` model, wrappers of TFMOT left out.

    Raises:
        ModelError: A layer, operation or argument has no counterpart, or the model is subclassed.
    """
    require_graph(model)
    converter = LayerConverter(lambda nested: convert_model(nested, unsafe=unsafe).model, unsafe)
    inputs = _inputs(model)
    steps = _replay(model, inputs, converter)
    values = {id(old): new for old, new in inputs} | {id(step.old): step.new for step in steps}
    outputs = _mapped(model.output, values)
    _separate_names(tf.nest.flatten(outputs), {keras3_name(layer.name) for layer in model.layers})
    result = _sequential(model, converter) or keras.Model(
        _mapped(model.input, values), outputs, name=keras3_name(model.name)
    )
    converter.transfer_weights()
    return Conversion(result, [new for _, new in inputs], steps)


def _inputs(model: Any) -> list[tuple[Any, Any]]:
    pairs = []
    for name, old in zip(model.input_names, model.inputs, strict=True):
        if not isinstance(old.type_spec, tf.TensorSpec):
            raise ModelError(
                f"Input {name!r} is sparse or ragged. Expected a dense tensor: rebuild that input."
            )
        shape, dtype = old.shape.as_list(), old.dtype.name
        pairs.append((old, keras.Input(batch_shape=shape, dtype=dtype, name=keras3_name(name))))
    return pairs


def _replay(model: Any, inputs: list[tuple[Any, Any]], converter: LayerConverter) -> list[Step]:
    """Repeats every call of the graph with converted layers; returns each tensor beside its counterpart."""
    values = {id(old): new for old, new in inputs}
    steps = []
    for call in calls(model):
        args, kwargs = _mapped((tuple(call.args), call.kwargs), values)
        try:
            result = _repeat(call, args, kwargs, converter)
        except TfzipError:
            raise
        except Exception as error:  # Keras raises any class on arguments that it does not take
            raise ModelError(
                f"Layer {call.layer.name!r} ({type(call.layer).__name__}) cannot be called in Keras 3 as "
                f"it was in Keras 2: {one_line(error)[:300]} Rebuild that layer in Keras 3."
            ) from error
        olds = tf.nest.flatten(call.outputs)
        news = [result] if len(olds) == 1 else tf.nest.flatten(result)
        for old, new in zip(olds, news, strict=True):
            values[id(old)] = new
            steps.append(Step(call.layer.name, old, new))
    return steps


def _repeat(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], converter: LayerConverter) -> Any:
    bare = inside(call.layer)
    if is_operation(bare):
        return apply_operation(bare, args, kwargs)
    new: Callable[..., Any] = converter.convert(call.layer)
    given = {key: value for key, value in kwargs.items() if value is not None}
    if isinstance(new, keras.layers.RNN | keras.layers.Bidirectional) and isinstance(args[0], list | tuple):
        sequence, *state = args[0]  # Keras 2 puts initial states behind the sequence
        return new(sequence, *args[1:], initial_state=state, **given)
    return new(*args, **given)


def _mapped(nest: Any, values: dict[int, Any]) -> Any:
    """Replaces Keras 2 tensors by their counterparts and eager tensors by arrays."""

    def replace(leaf: Any) -> Any:
        if is_tensor(leaf):
            return values[id(leaf)]
        return leaf.numpy() if isinstance(leaf, tf.Tensor | tf.Variable) else leaf

    return tf.nest.map_structure(replace, nest)


def _sequential(model: Any, converter: LayerConverter) -> keras.Model | None:
    """Returns a Sequential model for one whose layers all have a Keras 3 layer."""
    if not isinstance(model, tf_keras().Sequential):
        return None
    layers = [converter.convert(layer) for layer in model.layers]
    if not all(isinstance(layer, keras.Layer) for layer in layers):
        return None
    name, tensor = keras3_name(model.input_names[0]), model.inputs[0]
    entry = keras.Input(batch_shape=tensor.shape.as_list(), dtype=tensor.dtype.name, name=name)
    return keras.Sequential([entry, *layers], name=keras3_name(model.name))


def _separate_names(outputs: list[Any], taken: set[str]) -> None:
    """Renames operations that Keras named like one of the model's layers, which Keras 3 refuses."""
    pending, seen = list(outputs), set()
    while pending:
        record = producer(pending.pop())
        if record is None or id(record.operation) in seen:
            continue
        operation = record.operation
        seen.add(id(operation))
        if not isinstance(operation, keras.Layer) and operation.name in taken:
            operation.name = next(
                n for n in map(f"{operation.name}_op_{{}}".format, count()) if n not in taken
            )
            taken.add(operation.name)
        pending += [
            leaf
            for leaf in tf.nest.flatten((record.args, record.kwargs))
            if isinstance(leaf, keras.KerasTensor)
        ]
