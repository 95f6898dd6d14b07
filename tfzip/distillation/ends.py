"""Outputs of a model: their names, shapes, and whether they are probabilities."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfzip.graph.flat_graph import FlatGraph
from tfzip.graph.signature import output_names

SOFTMAX, SIGMOID = "softmax", "sigmoid"
_LEAST = 1e-30  # whose logarithm float32 still holds
_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class End:
    """An output.

    Attributes:
        name: As `output_names` gives it.
        shape: (batch, ...).
        activation: `"softmax"` or `"sigmoid"` where one is the last that happens to it, else empty.
        is_key: Whether the name is a key under which the model returns it.
    """

    name: str
    shape: tuple[int | None, ...]
    activation: str
    is_key: bool = False


def ends_of(model: keras.Model, graph: FlatGraph) -> list[End]:
    """Returns the outputs of a model in flat order."""
    makers = {tensor: node.operation for node in graph.nodes for tensor in node.outputs}
    is_key = isinstance(graph.outputs, dict)
    return [
        End(name, graph.tensors[tensor].shape, _activation_of(makers.get(tensor)), is_key)
        for name, tensor in zip(output_names(model, graph.outputs), graph.output_ids(), strict=True)
    ]


def are_probabilities(values: Any) -> bool:
    """Whether rows of numbers are not negative and add up to 1."""
    rows = np.asarray(values, np.float64)
    return bool(
        rows.ndim > 1
        and rows.shape[-1] > 1
        and rows.size
        and np.isfinite(rows).all()
        and rows.min() >= 0
        and np.abs(rows.sum(-1) - 1).max() < _SUM_TOLERANCE
    )


def log_probabilities(probabilities: Any) -> Any:
    """Returns logits that give these probabilities."""
    return keras.ops.log(keras.ops.maximum(probabilities, _LEAST))


def _activation_of(operation: Any) -> str:
    if isinstance(operation, keras.layers.Softmax):
        return SOFTMAX
    activation = getattr(operation, "activation", None)
    for name, function in ((SOFTMAX, keras.activations.softmax), (SIGMOID, keras.activations.sigmoid)):
        if activation is function or type(operation).__name__ == name.capitalize():
            return name
    return ""
