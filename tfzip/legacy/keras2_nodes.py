"""Keras 2's own records of layers and calls: the only file that reads its attributes with an underscore."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfzip.errors import ModelError
from tfzip.legacy.door import tf_keras


@dataclass(frozen=True)
class Call:
    """One call of a layer in a Keras 2 graph.

    Attributes:
        layer: The `tf_keras` layer that was called.
        args: Positional arguments: nests of symbolic tensors and constants.
        kwargs: Keyword arguments, likewise.
        outputs: Nest of symbolic tensors.
    """

    layer: Any
    args: Any
    kwargs: dict[str, Any]
    outputs: Any


def calls(model: Any) -> Iterator[Call]:
    """Yields the calls of a Sequential or Functional model so that inputs come before their use."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield Call(node.layer, node.call_args, dict(node.call_kwargs), node.outputs)


def require_graph(model: Any) -> None:
    """Raises `ModelError` unless a model is a built Sequential or Functional `tf_keras` model."""
    package = tf_keras()
    if not isinstance(model, package.Model):
        raise ModelError(f"Expected a tf_keras model or the path of one. Received: {type(model).__name__}.")
    is_sequential = isinstance(model, package.Sequential)
    if is_sequential and not model._is_graph_network:
        raise ModelError(
            f"Sequential model {model.name!r} has no input shape yet. Call it on data, or give its first "
            "layer an input_shape, before the conversion."
        )
    if not model._is_graph_network or type(model).call.__module__.split(".")[0] != "tf_keras":
        raise ModelError(
            f"Model {model.name!r} ({type(model).__name__}) is subclassed: its computation is Python code, "
            "which cannot be converted. Save it as a SavedModel and load the folder, or write the class for "
            "Keras 3 and copy the weights layer by layer."
        )


def is_tensor(value: Any) -> bool:
    """Whether a value is a symbolic tensor of Keras 2."""
    return hasattr(value, "_keras_history")


def is_operation(layer: Any) -> bool:
    """Whether a layer is a TensorFlow function that was called on symbolic tensors."""
    return type(layer).__name__ in {"TFOpLambda", "SlicingOpLambda"} and is_stock(layer)


def is_stock(layer: Any) -> bool:
    """Whether tf_keras itself wrote the layer, so that its class and configuration say what it computes."""
    return type(layer).__module__.split(".")[0] == "tf_keras"
