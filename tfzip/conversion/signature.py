"""The inputs and outputs of a model as a file will call them."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfzip.artifact import TensorSpec
from tfzip.graph.model_inputs import symbolic_inputs
from tfzip.graph.walk import check_built, unique_name
from tfzip.tflite import FileGraph
from tfzip.tflite.file_graph import Tensor


def input_tree(model: keras.Model) -> Any:
    """Returns the model's input structure with a `TensorSpec` at each leaf; open dimensions are -1.

    A dictionary's keys become the names, otherwise the names of the input tensors.

    Raises:
        ModelError: The model has not been built, so its input shapes are unknown.
    """
    check_built(model)
    tree = symbolic_inputs(model)
    if isinstance(tree, dict):
        return {key: _spec(key, tensor) for key, tensor in tree.items()}
    tensors = keras.tree.flatten(tree)
    taken: set[str] = set()
    specs = [_spec(unique_name(tensor.name, taken), tensor) for tensor in tensors]
    return keras.tree.pack_sequence_as(tree, specs)


def output_names(model: keras.Model, outputs: Any) -> list[str]:
    """Returns one name for each output: dictionary keys, else the output layers' names, else `output_0`."""
    count = len(keras.tree.flatten(outputs))
    if isinstance(outputs, dict) and len(outputs) == count:
        names: Sequence[str] = keras.tree.flatten(
            {key: key for key in outputs}
        )  # in the order of the outputs
    elif isinstance(model, keras.Sequential):
        names = [model.layers[-1].name]
    else:
        names = getattr(model, "output_names", ())
    if len(names) != count:
        return [f"output_{i}" for i in range(count)]
    taken: set[str] = set()
    return [unique_name(name, taken) for name in names]


def file_signature(graph: FileGraph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns the inputs and the outputs of a file's first signature, with their integer grids."""
    signature = graph.signatures[0]
    tensors = graph.subgraphs[signature.subgraph].tensors

    def specs(names: Mapping[str, int]) -> tuple[TensorSpec, ...]:
        return tuple(_file_spec(name, tensors[index]) for name, index in names.items())

    return specs(signature.inputs), specs(signature.outputs)


def _spec(name: str, tensor: keras.KerasTensor) -> TensorSpec:
    return TensorSpec(name, tuple(-1 if d is None else int(d) for d in tensor.shape), tensor.dtype)


def _file_spec(name: str, tensor: Tensor) -> TensorSpec:
    scale = tensor.scales[0] if tensor.scales else 0.0
    zero_point = tensor.zero_points[0] if tensor.zero_points else 0
    return TensorSpec(name, tensor.shape_signature, tensor.dtype, scale, zero_point)
