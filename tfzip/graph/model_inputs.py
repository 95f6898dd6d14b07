"""Symbolic inputs for a model, whether it declares them or only remembers their shape."""

from dataclasses import replace
from typing import Any

import keras

from tfzip.errors import ModelError
from tfzip.graph.flat_graph import FlatGraph


def symbolic_inputs(model: keras.Model, batch: int | None = None) -> Any:
    """Returns new `keras.Input` tensors in the structure that the model takes.

    A Functional or Sequential model declares names, shapes and types. A subclassed model only remembers the
    shapes it was built with: the batch is left open, a dict gives the names, the type is
    `keras.config.floatx()`.

    Raises:
        ModelError: The model was built without a shape, or takes more than one argument.
    """
    declared = _declared_inputs(model)
    if declared is not None:
        return keras.tree.map_structure(
            lambda tensor: keras.Input(
                batch_shape=(batch or tensor.shape[0], *tensor.shape[1:]),
                dtype=tensor.dtype,
                sparse=tensor.sparse,
                name=tensor.name,
            ),
            declared,
        )
    config = model.get_build_config() or {}
    shape = config.get("input_shape")
    if shape is None:
        received = sorted(config.get("shapes_dict", {})) or "none"
        raise ModelError(
            f"Model {model.name!r} must know the shape of one argument to be traced. Received: {received}."
            " Call it on a batch given as one array, list or dict, or wrap it in a Functional model."
        )
    return _from_shapes(shape, "", batch)


def declares_inputs(model: keras.Model) -> bool:
    """Whether a model knows its inputs' names and types."""
    return _declared_inputs(model) is not None


def with_integer_tokens(graph: FlatGraph) -> FlatGraph:
    """Returns the graph of a subclassed model with int32 inputs where only an `Embedding` reads them."""
    readers = graph.consumers()
    tensors = list(graph.tensors)
    for tensor in graph.input_ids():
        operations = [graph.nodes[index].operation for index in readers[tensor]]
        looked_up = any(isinstance(op, keras.layers.Embedding) for op in operations)
        # Embedding(mask_zero=True) compares its input with 0.
        others = [op for op in operations if type(op).__name__ not in ("Embedding", "NotEqual")]
        if looked_up and not others:
            tensors[tensor] = replace(tensors[tensor], dtype="int32")
    return replace(graph, tensors=tuple(tensors))


def _declared_inputs(model: keras.Model) -> Any:
    if isinstance(model, keras.Sequential):
        return model.inputs[0] if getattr(model, "inputs", None) else None
    return model.input if hasattr(model, "operations") else None


def _from_shapes(shape: Any, name: str, batch: int | None) -> Any:
    if isinstance(shape, dict):
        return {key: _from_shapes(value, key, batch) for key, value in shape.items()}
    if any(isinstance(size, list | tuple | dict) for size in shape):
        return [_from_shapes(value, f"{name or 'input'}_{index}", batch) for index, value in enumerate(shape)]
    return keras.Input(batch_shape=(batch, *shape[1:]), name=name or "input")
