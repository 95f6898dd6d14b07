"""Symbolic calls that look into composite layers instead of recording each as one opaque call.

Keras calls `layer.symbolic_call` when an argument is symbolic. While a model is traced here, each layer has a
`symbolic_call` of its own: composites run the `call` they were written with on the symbolic tensors, leaves
note the arguments that Keras fills in by itself (masks, `training`).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from tfzip.errors import bare
from tfzip.graph.keras_nodes import (
    CallRecord,
    all_layers,
    batch_left_open,
    converted_from,
    copy_mask,
    current_training,
    default_of,
    is_stock,
    keep_history,
    own_variables,
    producer,
    set_training,
    sublayers,
    takes_training,
)
from tfzip.graph.walk import layer_paths

_HIDDEN = "it uses keras.ops.cond or a loop, whose Python functions hide operations"


class Unset(int):
    """Stands for "`training` was not given": false, and it notices when a model's own code asks."""

    def __new__(cls, _: Callable[[], None]) -> "Unset":
        """Makes a zero; the callback is kept by `__init__`."""
        return super().__new__(cls, 0)

    def __init__(self, on_asked: Callable[[], None]) -> None:
        self.on_asked = on_asked

    def __bool__(self) -> bool:
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001
        if caller.split(".")[0] != "keras":
            self.on_asked()
        return False


class Expansion:
    """What one symbolic run through a model found out.

    Attributes:
        opaque: Reason by path, for layers that could not be looked into.
        inference_only: Paths of layers whose code branches on `training`.
        scope_of: Path of the innermost expanded layer by `id` of a produced tensor.
    """

    def __init__(self, model: keras.Model) -> None:
        self.opaque: dict[str, str] = {}
        self.inference_only: list[str] = []
        self.scope_of: dict[int, str] = {}
        self.path_of = {id(layer): path for path, layer in layer_paths(model)} | {id(model): ""}
        self._model = model
        self._running: list[str] = []
        self._parents: list[tuple[bool, Any]] = []
        self._tapes: list[tf.GradientTape] = []
        self._aliases: dict[int, keras.KerasTensor] = {}
        self._filled_in: dict[int, dict[str, Any]] = {}
        self._kept_alive: list[Any] = []

    def run(self, inputs: Any) -> Any:
        """Calls the model on symbolic inputs and returns its symbolic outputs.

        The caller restores the layers (`left_as_it_was`).
        """
        expanded = {id(layer) for layer in self._reachable(self._model)}
        for layer in all_layers(self._model):
            if id(layer) in expanded:
                vars(layer)["symbolic_call"] = self._expanding_call(layer)
            elif id(layer) in self.path_of:
                vars(layer)["symbolic_call"] = self._leaf_call(layer)
        with batch_left_open():
            outputs = self._model(inputs, training=Unset(self._asked))
        return keras.tree.map_structure(self.resolve, outputs)

    def resolve(self, value: Any) -> Any:
        """Returns the tensor inside a composite that its result stands for; other values as they are."""
        while isinstance(value, keras.KerasTensor):
            inner = self._aliases.get(id(value))
            inner = converted_from(value) if inner is None else inner
            if inner is None:
                break
            value = inner
        return value

    def call_of(self, tensor: keras.KerasTensor) -> CallRecord | None:
        """Returns the call that made a resolved tensor, with masks and a fixed `training` written out."""
        call = producer(tensor)
        if call is None:
            return None
        filled = self._filled_in.get(id(call.outputs[0]), {})
        kwargs = {
            name: value
            for name, value in (call.kwargs | filled).items()
            if (value is not None or not name.endswith("mask"))
            and (name != "training" or _is_fixed(call, value))
        }
        return CallRecord(call.operation, self._resolved(call.args), self._resolved(kwargs), call.outputs)

    def _reachable(self, layer: keras.Layer) -> list[keras.Layer]:
        """Returns the layers to expand below and including `layer`, noting the others as opaque."""
        reason = _reason_not_to_expand(layer)
        if reason is None:
            return [layer] + [found for child in sublayers(layer) for found in self._reachable(child)]
        if reason:
            self.opaque[self.path_of[id(layer)]] = reason
        return []

    def _resolved(self, structure: Any) -> Any:
        return keras.tree.map_structure(self.resolve, structure)

    def _asked(self) -> None:
        if self._running and self._running[-1] not in self.inference_only:
            self.inference_only.append(self._running[-1])

    def _as_called(self, layer: keras.Layer, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call without a `training` that nobody chose.

        A stock model records what a layer's `call` has as its default, and gives it to the layer when it is
        not told anything itself.
        """
        given = kwargs.get("training")
        if not self._parents or not isinstance(given, bool):
            return kwargs
        parent_is_stock, outer = self._parents[-1]
        if not parent_is_stock or given is not default_of(layer, "training"):
            return kwargs
        set_training(layer, outer)  # which Keras would hand to the next layers, too
        return kwargs | {"training": outer}

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raises `TypeError` if the code of a composite reads a weight itself, which would become a constant.

        Weights that are not trained may: they are constants.
        """
        with self._unwatched():
            tape = tf.GradientTape()
            self._tapes = [tape]
            with tape:
                yield
        read = {variable.name for variable in tape.watched_variables()}
        if read:
            raise TypeError(f"it uses weights of its layers outside their calls: {', '.join(sorted(read))}")

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        """Lets layers read their weights."""
        tapes, self._tapes = self._tapes, []
        try:
            with ExitStack() as stack:
                for tape in tapes:
                    stack.enter_context(tape.stop_recording())
                yield
        finally:
            self._tapes = tapes

    def _leaf_call(self, layer: keras.Layer) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            kwargs = self._as_called(layer, kwargs)
            with self._unwatched():
                outputs = type(layer).symbolic_call(layer, *args, **kwargs)
            filled = {
                name: value
                for name, value in kwargs.items()
                if name == "training" or (name.endswith("mask") and _holds_tensor(value))
            }
            self._filled_in[id(keras.tree.flatten(outputs)[0])] = filled
            self._kept_alive.append(outputs)
            return outputs

        return call

    def _expanding_call(self, layer: keras.Layer) -> Callable[..., Any]:
        path = self.path_of[id(layer)]
        leaf_call = self._leaf_call(layer)

        def call(*args: Any, **kwargs: Any) -> Any:
            if path in self.opaque:
                return leaf_call(*args, **kwargs)
            kwargs = self._as_called(layer, kwargs)
            opaque_before, asked_before = dict(self.opaque), list(self.inference_only)
            inputs = keras.tree.flatten((args, kwargs))
            restore_inputs = keep_history(inputs)
            self._running.append(path)
            self._parents.append((is_stock(layer), current_training(layer)))
            try:
                with self._watched():
                    inner = layer.call(*args, **_without_unset(layer, kwargs))
                if restore_inputs():
                    raise TypeError(_HIDDEN)
                self._claim(inner, path, inputs)
            except Exception as error:  # noqa: BLE001 - a user's call may raise anything on symbolic tensors
                restore_inputs()
                self.opaque, self.inference_only = opaque_before, asked_before
                self.opaque[path] = cause_of(error)
                return leaf_call(*args, **kwargs)
            finally:
                self._running.pop()
                self._parents.pop()
            return keras.tree.map_structure(self._stand_in, inner)

        return call

    def _stand_in(self, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """Returns a tensor on which Keras may record the composite's own call without hiding the inside."""
        copy = keras.KerasTensor(tensor.shape, dtype=tensor.dtype, sparse=tensor.sparse)
        copy_mask(tensor, copy)
        self._aliases[id(copy)] = tensor
        self._kept_alive.append(copy)
        return copy

    def _claim(self, outputs: Any, path: str, inputs: list[Any]) -> None:
        """Notes that the calls between a composite's inputs and outputs happened inside it."""
        seen = {id(self.resolve(value)) for value in inputs}
        pending = [self.resolve(tensor) for tensor in keras.tree.flatten(outputs)]
        while pending:
            tensor = pending.pop()
            if not isinstance(tensor, keras.KerasTensor):
                raise TypeError(f"its result holds a {type(tensor).__name__} where a tensor was expected")
            call = None if id(tensor) in seen else self.call_of(tensor)
            if call is None:
                continue
            seen |= {id(output) for output in call.outputs}
            for output in call.outputs:
                self.scope_of.setdefault(id(output), path)
            self._kept_alive.append(call)
            leaves = keras.tree.flatten((call.args, call.kwargs))
            if not isinstance(call.operation, keras.Layer) and any(map(callable, leaves)):
                raise TypeError(_HIDDEN)
            pending += [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


def _is_fixed(call: CallRecord, training: Any) -> bool:
    return takes_training(call.operation) and training is not None and not isinstance(training, Unset)


def _holds_tensor(structure: Any) -> bool:
    return any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(structure))


def _without_unset(layer: keras.Layer, kwargs: dict[str, Any]) -> dict[str, Any]:
    """A stock model given `training` forces it on its layers, over what their calls fixed."""
    if is_stock(layer):
        return {name: value for name, value in kwargs.items() if not isinstance(value, Unset)}
    return kwargs


def _reason_not_to_expand(layer: keras.Layer) -> str | None:
    """Returns `None` to expand, an empty string for a stock leaf, else why a user's layer stays a leaf."""
    if is_stock(layer) and not isinstance(layer, keras.Model | keras.layers.Lambda):
        return ""
    if own_variables(layer):
        return "it owns variables that its call uses directly"
    if layer.activity_regularizer is not None:
        return "it has an activity regularizer on its result"
    return None


def cause_of(error: Exception) -> str:
    """Returns what went wrong in one line, without the frame that Keras draws around it."""
    text = bare(error).split("Exception encountered: ")[-1]  # behind what Keras was given
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    framing = ("Exception encountered when calling", "Could not automatically infer")
    kept = [line for line in lines if not line.startswith(framing)]
    return f"{type(error).__name__}: {' '.join(kept)[:200] or 'no message'}"
