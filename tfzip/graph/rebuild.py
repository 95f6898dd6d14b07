"""From a model or a flat graph to one flat Functional model."""

from collections.abc import Callable, Iterator
from typing import Any

import keras

from tfzip.errors import ModelError, OptionError
from tfzip.graph.expand import cause_of
from tfzip.graph.flat_graph import FlatGraph, FlatNode, TensorRef, filled
from tfzip.graph.flatten import flatten
from tfzip.graph.keras_nodes import all_layers, twin
from tfzip.graph.walk import unique_name

_HALF_TYPES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def rebuild(
    model: keras.Model | FlatGraph, *, dtype: str | None = None, share_weights: bool = False
) -> keras.Model:
    """Returns one flat Functional model that computes exactly the same.

    Nested models and user layers dissolve into layers and `keras.ops`, so a model of stock layers saves to a
    `.keras` that loads without the code that made it. Layers are named by their paths, with `_` for `/`.
    Inputs keep names and structure, outputs their structure. The result is not compiled.

    Args:
        model: A built model, or the graph of one.
        dtype: `"float32"` computes everything in float32 that a `mixed_float16`, `mixed_bfloat16`, `float16`
            or `bfloat16` policy computes in half precision. Defaults to `None`: each layer keeps its policy.
        share_weights: Whether the layers use the very variables of the model instead of copies, so that
            training one trains both. Defaults to `False`.

    Returns:
        The flat model.

    Raises:
        ModelError: The model cannot be flattened, or a layer cannot be made again from its config.
        OptionError: `dtype` is another type, or is combined with `share_weights`.
    """
    if dtype not in (None, "float32"):
        raise OptionError(f"dtype must be 'float32' or None. Received: {dtype!r}.")
    if dtype and share_weights:
        raise OptionError(
            "Layers of another dtype cannot share weights. Leave out dtype= or share_weights=True."
        )
    graph = model if isinstance(model, FlatGraph) else flatten(model)
    return Rebuild(graph, dtype, share_weights).run()


class Rebuild:
    """The state of one rebuild: tensors by id, new operations by the old ones.

    Subclasses make other layers and operations, call them otherwise, or give them other weights.
    """

    def __init__(self, graph: FlatGraph, dtype: str | None, share_weights: bool) -> None:
        self.graph = graph
        self.dtype = dtype
        self.share_weights = share_weights
        self.values: dict[int, keras.KerasTensor] = {}
        self.layers: dict[int, tuple[keras.Layer, keras.Layer]] = {}
        self.ends = {self.key(node): name for node, name in _ends(graph)}
        self.names = set(self.ends.values())

    def run(self) -> keras.Model:
        """Returns the model."""
        inputs = keras.tree.map_structure(self._input, self.graph.inputs)
        for node in self.graph.nodes:
            operation = self._layer(node) if node.is_layer else self.make_operation(node, self._name(node))
            args, kwargs = filled((node.args, node.kwargs), self.values)
            results = keras.tree.flatten(self.call(operation, node, args, kwargs))
            self.values |= dict(zip(node.outputs, results, strict=True))
        model = keras.Model(inputs, filled(self.graph.outputs, self.values), name=self.graph.name)
        if not self.share_weights:
            for old, new in self.layers.values():
                self.copy_state(old, new)
        return model

    def make_layer(self, node: FlatNode, name: str) -> keras.Layer:
        """Returns the layer that takes the place of a node's."""
        if self.share_weights:
            return twin(node.operation, name)
        return cloned(node.operation, name, self.dtype, node.path)

    def make_operation(self, node: FlatNode, name: str) -> keras.Operation:
        """Returns the operation that takes the place of a node's."""
        old = node.operation
        if self.dtype and getattr(old, "dtype", None) in _HALF_TYPES:
            return type(old).from_config(old.get_config() | {"name": name, "dtype": self.dtype})
        return twin(old, name)

    def call(self, operation: Any, node: FlatNode, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        """Calls what takes the place of a node's operation."""
        return operation(*args, **kwargs)

    def copy_state(self, old: keras.Layer, new: keras.Layer) -> None:
        """Copies what two layers of one config save, so that derived state follows too."""
        for source, target in zip(all_layers(old), all_layers(new), strict=True):
            store: dict[str, Any] = {}
            source.save_own_variables(store)
            if store:
                target.load_own_variables(store)

    def _input(self, ref: TensorRef) -> keras.KerasTensor:
        spec = self.graph.tensors[ref.id]
        dtype = self.dtype if self.dtype and spec.dtype in _HALF_TYPES else spec.dtype
        self.names.add(spec.name)
        self.values[ref.id] = keras.Input(batch_shape=spec.shape, dtype=dtype, name=spec.name)
        return self.values[ref.id]

    def _name(self, node: FlatNode) -> str:
        name = self.ends.pop(self.key(node), None)
        return name or unique_name(node.path.replace("/", "_"), self.names)

    def _layer(self, node: FlatNode) -> keras.Layer:
        key = self.key(node)
        if key not in self.layers:
            self.layers[key] = (node.operation, self.make_layer(node, self._name(node)))
        return self.layers[key][1]

    def key(self, node: FlatNode) -> int:
        """Returns what calls of one layer have in common."""
        return id(node.operation)


def _ends(graph: FlatGraph) -> Iterator[tuple[FlatNode, str]]:
    """Yields the calls that make outputs, each with the name of its output."""
    maker = {tensor: node for node in graph.nodes for tensor in node.outputs}
    for tensor, name in zip(graph.output_ids(), graph.output_names, strict=False):
        if tensor in maker and len(maker[tensor].outputs) == 1:
            yield maker[tensor], name


def cloned(
    layer: keras.Layer,
    name: str,
    dtype: str | None,
    path: str,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: config,
) -> keras.Layer:
    """Returns a new layer from the config of an old one, changed if need be."""
    if isinstance(layer, keras.layers.Lambda):  # Keras refuses to make a lambda from its config
        copy = twin(layer, name)
        copy.dtype_policy = _with_dtype(layer.dtype_policy.name, dtype)
        return copy
    classes = {type(found).__name__: type(found) for found in all_layers(layer)}
    try:
        with keras.saving.custom_object_scope(classes):
            return type(layer).from_config(change(_with_dtype(layer.get_config(), dtype)) | {"name": name})
    except Exception as error:  # the user's own `from_config` may raise anything
        raise ModelError(
            f"Layer {path!r} ({type(layer).__name__}) cannot be made again from its config."
            f" Received: {cause_of(error).rstrip('. ')}. Classes and functions of your own need get_config()"
            " and @keras.saving.register_keras_serializable()."
        ) from error


def _with_dtype(config: Any, dtype: str | None) -> Any:
    """Returns a config in which every half precision policy, also of inner layers, is `dtype`."""
    if dtype is None:
        return config
    if isinstance(config, dict):
        return {key: _with_dtype(value, dtype) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_dtype(value, dtype) for value in config)
    return dtype if isinstance(config, str) and config in _HALF_TYPES else config
