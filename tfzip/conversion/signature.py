"""The inputs and outputs of a model as a file will call them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfzip.artifact import TensorSpec
from tfzip.errors import ModelError
from tfzip.tflite import FileGraph
from tfzip.tflite.file_graph import Tensor


def input_tree(model: keras.Model) -> Any:
    """Returns the model's input structure with a `TensorSpec` at each leaf; open dimensions are -1.

    A dictionary's keys become the names, otherwise the names of the input tensors. A subclassed model is
    described by the shapes it was built with and the argument names of its `call`.

    Raises:
        ModelError: The model has not been built, so its input shapes are unknown.
    """
    try:
        tree = model.input
    except (AttributeError, ValueError):
        return _built_tree(model)
    if isinstance(tree, dict):
        return {key: _spec(key, tensor.shape, tensor.dtype) for key, tensor in tree.items()}
    tensors = keras.tree.flatten(tree)
    names = unique_names([tensor.name for tensor in tensors])
    specs = [_spec(name, tensor.shape, tensor.dtype) for name, tensor in zip(names, tensors, strict=True)]
    return keras.tree.pack_sequence_as(tree, specs)


def output_names(model: keras.Model, outputs: Any) -> list[str]:
    """Returns one name for each output: dictionary keys, else the output layers' names, else `output_0`."""
    count = len(keras.tree.flatten(outputs))
    if isinstance(outputs, dict) and len(outputs) == count:
        return list(outputs)
    names: Sequence[str] = getattr(model, "output_names", ())
    return unique_names(names) if len(names) == count else [f"output_{i}" for i in range(count)]


def file_signature(graph: FileGraph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns the inputs and the outputs of a file's first signature, with their integer grids."""
    signature = graph.signatures[0]
    tensors = graph.subgraphs[signature.subgraph].tensors

    def specs(names: Mapping[str, int]) -> tuple[TensorSpec, ...]:
        return tuple(_file_spec(name, tensors[index]) for name, index in names.items())

    return specs(signature.inputs), specs(signature.outputs)


def unique_names(names: Sequence[str]) -> list[str]:
    """Returns the names in order, with `_1`, `_2` ... added to those that repeat an earlier one."""
    taken: dict[str, int] = {}
    result = []
    for name in names:
        taken[name] = taken.get(name, -1) + 1
        result.append(name if taken[name] == 0 else f"{name}_{taken[name]}")
    return result


def _spec(name: str, shape: Sequence[int | None], dtype: str) -> TensorSpec:
    return TensorSpec(name, tuple(-1 if d is None else int(d) for d in shape), dtype)


def _file_spec(name: str, tensor: Tensor) -> TensorSpec:
    scale = tensor.scales[0] if tensor.scales else 0.0
    zero_point = tensor.zero_points[0] if tensor.zero_points else 0
    return TensorSpec(name, tensor.shape_signature, tensor.dtype, scale, zero_point)


def _built_tree(model: keras.Model) -> Any:
    config = (model.get_build_config() or {}) if model.built else {}
    shapes = config.get("input_shape")
    if not shapes:
        raise ModelError(
            f"Model {model.name!r} has no known input shape. Call it once on a batch before the export;"
            " several inputs go in one list or dictionary."
        )
    first = next(iter(inspect.signature(model.call).parameters), "input_0")
    if isinstance(shapes, dict):
        return {key: _spec(key, shape, "float32") for key, shape in shapes.items()}
    if isinstance(shapes[0], tuple | list):
        return [_spec(f"{first}_{i}", shape, "float32") for i, shape in enumerate(shapes)]
    return _spec(first, shapes, "float32")
