"""The inputs and outputs of a model as a file will call them."""

from collections.abc import Sequence
from typing import Any

import keras

from tfzip.artifact import TensorSpec
from tfzip.errors import ModelError
from tfzip.graph.model_inputs import symbolic_inputs
from tfzip.graph.walk import check_built, unique_name


def input_tree(model: keras.Model) -> Any:
    """Returns the model's input structure with a `TensorSpec` at each leaf; open dimensions are -1.

    A dictionary's keys become the names, otherwise the names of the input tensors.

    Raises:
        ModelError: The model has not been built, so its input shapes are unknown.
    """
    check_built(model)
    tree = symbolic_inputs(model)
    if isinstance(tree, dict) and len(keras.tree.flatten(tree)) > len(tree):
        raise ModelError(
            f"Model {model.name!r} takes a dictionary that holds lists or dictionaries, which a file has no"
            " names for. Give it one dictionary or one list of inputs."
        )
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


def _spec(name: str, tensor: keras.KerasTensor) -> TensorSpec:
    return TensorSpec(name, tuple(-1 if d is None else int(d) for d in tensor.shape), tensor.dtype)
