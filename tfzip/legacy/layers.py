"""One Keras 2 layer as a Keras 3 layer, or as a function where Keras 3 has only operations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from tfzip.errors import ModelError, one_line
from tfzip.legacy.arguments import keras3_config, keras3_name
from tfzip.legacy.door import tf_keras
from tfzip.legacy.keras2_nodes import is_stock
from tfzip.legacy.wrappers import is_wrapper, unwrap

_CALLABLE_ARGUMENTS = ("activation", "recurrent_activation")
_INNER_ARGUMENTS = ("layer", "backward_layer", "cell", "cells")


@dataclass
class LayerConverter:
    """Converts layers, each once, and remembers which weights go where.

    Attributes:
        convert_model: Converts a nested model.
        unsafe: Whether Lambda layers are kept.
        transfers: (Keras 3 layer, arrays for its weights) once the layers are built.
    """

    convert_model: Callable[[Any], Any]
    unsafe: bool = False
    transfers: list[tuple[keras.Layer, list[Any]]] = field(default_factory=list)
    _converted: dict[int, Callable[..., Any]] = field(default_factory=dict)

    def convert(self, layer: Any) -> Callable[..., Any]:
        """Returns what to call in place of a Keras 2 layer: a Keras 3 layer, a model or a function."""
        if id(layer) not in self._converted:
            self._converted[id(layer)] = self._convert(layer)
        return self._converted[id(layer)]

    def transfer_weights(self) -> None:
        """Sets the weights of all converted layers, which have to be built."""
        for layer, weights in self.transfers:
            try:
                layer.set_weights(weights)
            except ValueError as error:
                raise ModelError(
                    f"The weights of layer {layer.name!r} ({type(layer).__name__}) do not fit its Keras 3 "
                    f"counterpart: {one_line(error)} Rebuild that layer in Keras 3."
                ) from error
            if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
                layer.finalize_state()

    def _convert(self, layer: Any) -> Any:
        if is_wrapper(layer):
            inner, weights = unwrap(layer)
            return self._stock(inner, weights)
        if isinstance(layer, tf_keras().Model):
            return self.convert_model(layer)
        if type(layer).__name__ == "Lambda" and is_stock(layer):
            return self._lambda(layer)
        if type(layer).__name__ == "ThresholdedReLU" and is_stock(layer):
            return lambda x: ops.where(ops.greater(x, float(layer.theta)), x, ops.zeros_like(x))
        return self._stock(layer, None)

    def _stock(self, layer: Any, weights: list[Any] | None) -> Callable[..., Any]:
        kind = type(layer).__name__
        if not is_stock(layer) or not hasattr(keras.layers, kind):
            raise ModelError(
                f"Layer {layer.name!r} is a {kind}, which Keras 3 does not have. Write it as a Keras 3 "
                "layer and build the model with it, or save the model as a SavedModel and load the folder."
            )
        if kind == "Activation" and _is_old_hard_sigmoid(layer.activation):
            return _old_hard_sigmoid
        config = dict(layer.get_config())
        inner = self._inner(layer, kind, config)
        trailing = self._activations(layer, config)
        new: keras.Layer = getattr(keras.layers, kind)(**keras3_config(kind, config, layer.name), **inner)
        if kind != "TimeDistributed":  # whose layer was converted with its weights
            self.transfers.append((new, [w.numpy() for w in layer.weights] if weights is None else weights))
        return new if trailing is None else lambda *args, **kwargs: trailing(new(*args, **kwargs))

    def _inner(self, layer: Any, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        """Takes inner layers out of a configuration and returns them converted."""
        for name in _INNER_ARGUMENTS:
            config.pop(name, None)
        if kind == "TimeDistributed":
            return {"layer": self.pure(layer.layer, layer.name)}
        if kind == "Bidirectional":
            copied = LayerConverter(
                self.convert_model, self.unsafe
            )  # Keras copies both, so weights move with it
            parts = {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
            return {name: copied.pure(part, layer.name) for name, part in parts.items()}
        if kind == "RNN":
            return {"cell": self._cell(layer.cell, layer.name)}
        return {}

    def _cell(self, cell: Any, layer_name: str) -> keras.Layer:
        """Returns a converted recurrent cell; its weights move with the layer that runs it."""
        kind = type(cell).__name__
        if kind == "StackedRNNCells":
            return keras.layers.StackedRNNCells([self._cell(c, layer_name) for c in cell.cells])
        if not is_stock(cell) or not hasattr(keras.layers, kind):
            raise ModelError(
                f"Layer {layer_name!r} runs a {kind}, which Keras 3 does not have. Rebuild it there."
            )
        config = dict(cell.get_config())
        self._activations(cell, config)
        return getattr(keras.layers, kind)(**keras3_config(kind, config, layer_name))

    def pure(self, layer: Any, owner: str) -> keras.Layer:
        """Returns a layer converted to a layer, since one inside another cannot become a function."""
        new = self.convert(layer)
        if not isinstance(new, keras.Layer):
            raise ModelError(
                f"Layer {layer.name!r} inside {owner!r} has no Keras 3 layer that computes the same. "
                "Rebuild it with another activation."
            )
        return new

    def _activations(self, layer: Any, config: dict[str, Any]) -> Callable[[Any], Any] | None:
        """Converts activations in a configuration; returns one that has to follow the layer as operations."""
        for key in _CALLABLE_ARGUMENTS:
            if key not in config:
                continue
            function = getattr(layer, key)
            if (
                key == "activation"
                and _is_old_hard_sigmoid(function)
                and "recurrent_activation" not in config
            ):
                config[key] = None
                return _old_hard_sigmoid
            config[key] = self._activation(layer, key, function)
        return None

    def _activation(self, layer: Any, key: str, function: Any) -> Any:
        if hasattr(function, "get_config"):
            return self.pure(function, layer.name)
        name = getattr(function, "__name__", repr(function))
        known = getattr(keras.activations, name, None)
        if known is None or _is_old_hard_sigmoid(function) or not _is_library(function):
            raise ModelError(
                f"Layer {layer.name!r} ({type(layer).__name__}) has {key}={name!r}, which Keras 3 computes "
                "differently or does not have. Rebuild that layer with an activation of Keras 3."
            )
        return name

    def _lambda(self, layer: Any) -> keras.Layer:
        if not self.unsafe:
            raise ModelError(
                f"Layer {layer.name!r} is a Lambda layer, that is Python code. If you trust it, pass "
                "--unsafe (unsafe=True in Python); else replace it by layers or tf operations."
            )
        return keras.layers.Lambda(
            layer.function, arguments=layer.arguments, name=keras3_name(layer.name), dtype=layer.dtype
        )


def _is_library(function: Any) -> bool:
    return function.__module__.split(".")[0] in {"tf_keras", "tensorflow", "keras"}


def _is_old_hard_sigmoid(function: Any) -> bool:
    return getattr(function, "__name__", "") == "hard_sigmoid"


def _old_hard_sigmoid(x: Any) -> Any:
    """Keras 2's hard sigmoid, max(0, min(1, 0.2 x + 0.5)); Keras 3 divides by 6 instead of 5."""
    return ops.clip(x * 0.2 + 0.5, 0.0, 1.0)
