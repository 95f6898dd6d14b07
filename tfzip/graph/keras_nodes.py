"""Keras' own records of layers and calls: the only file that reads attributes with a leading underscore.

Checked against Keras 3.15. When Keras renames a record, this file changes and no other.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

_CALL = ("call", "_call_has_training_arg", "_call_has_context_arg")
_REPLACED = "_tfzip_replaced"


@dataclass(frozen=True)
class CallRecord:
    """One symbolic call of an operation, as Keras recorded it.

    Attributes:
        operation: The layer or the `keras.ops` operation.
        args: Positional arguments with `keras.KerasTensor` leaves.
        kwargs: Keyword arguments as the caller wrote them.
        outputs: Symbolic results in flat order.
    """

    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[keras.KerasTensor, ...]


def producer(tensor: keras.KerasTensor) -> CallRecord | None:
    """Returns the call that made a symbolic tensor, or `None` for an input."""
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        return None
    node = history.operation._inbound_nodes[history.node_index]
    if node.is_input:
        return None
    return CallRecord(node.operation, node.arguments.args, node.arguments.kwargs, tuple(node.outputs))


def converted_from(tensor: keras.KerasTensor) -> keras.KerasTensor | None:
    """Returns the tensor that a nested model merely checked and handed on as `tensor`, if there is one."""
    call = producer(tensor)
    if call is None or type(call.operation).__name__ != "ConvertToTensor":
        return None
    source = call.args[0]
    same = isinstance(source, keras.KerasTensor) and (source.dtype, source.sparse) == (
        tensor.dtype,
        tensor.sparse,
    )
    return source if same else None


def takes_training(operation: keras.Operation) -> bool:
    """Whether an operation is a layer whose `call` has a `training` argument."""
    return bool(getattr(operation, "_call_has_training_arg", False))


def default_of(operation: keras.Operation, argument: str) -> Any:
    """Returns what an argument of an operation's `call` is if it is not given, `None` without a default."""
    parameter = inspect.signature(type(operation).call).parameters.get(argument)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default


def current_training(layer: keras.Layer) -> Any:
    """Returns the `training` that layers called now inherit, inside the call of a layer."""
    return layer._get_call_context().get_value("training")


def set_training(layer: keras.Layer, training: Any) -> None:
    """Changes the `training` that layers called from now on inherit, inside the call of a layer."""
    layer._get_call_context().set_value("training", training)


def keep_history(tensors: Iterable[Any]) -> Callable[[], bool]:
    """Returns a function that gives tensors back the origin they have now and says whether any had lost it.

    `keras.ops.cond` records itself as the origin of a tensor that a branch merely returns.
    """
    kept = [
        (tensor, vars(tensor).get("_keras_history"))
        for tensor in tensors
        if isinstance(tensor, keras.KerasTensor)
    ]

    def restore() -> bool:
        lost = [
            (tensor, history) for tensor, history in kept if vars(tensor).get("_keras_history") is not history
        ]
        for tensor, history in lost:
            vars(tensor)["_keras_history"] = history
        return bool(lost)

    return restore


def copy_mask(source: keras.KerasTensor, target: keras.KerasTensor) -> None:
    """Gives `target` the mask that Keras attached to `source`, if any."""
    mask = getattr(source, "_keras_mask", None)
    if mask is not None:
        target._keras_mask = mask


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers held directly by a layer: in attributes, lists, tuples, dicts or its graph.

    A layer held twice appears once. Input layers, which compute nothing, are left out.
    """
    held = layer._flatten_layers(include_self=False, recursive=False)
    return [child for child in held if not isinstance(child, keras.layers.InputLayer)]


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns a layer and everything below it, also inside stock layers, in a fixed order."""
    return list(layer._flatten_layers())


def all_operations(model: keras.Layer) -> list[keras.Operation]:
    """Returns a model's layers as `all_layers` does, and the `keras.ops` operations of its graphs."""
    return list(_operations(all_layers(model)))


def is_stock(layer: keras.Layer) -> bool:
    """Whether Keras itself wrote the layer's `call`, so that the layer's type says what it computes."""
    module: str = type(layer).call.__module__
    return module.split(".")[0] == "keras"


def is_composite(layer: keras.Layer) -> bool:
    """Whether a layer is a model, or a user's layer that owns layers: something to look into.

    Stock layers that own layers (`Bidirectional`, `TimeDistributed`, `MultiHeadAttention`, `RNN`) are not.
    """
    return isinstance(layer, keras.Model) or (not is_stock(layer) and bool(sublayers(layer)))


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Returns the variables a layer holds itself, without those of sublayers, metrics and the optimizer."""
    others = [variable for child in sublayers(layer) for variable in child.variables]
    others += [variable for metric in layer._metrics for variable in metric.variables]
    known = {id(variable) for variable in others}
    return [variable for variable in layer.variables if id(variable) not in known]


def twin(operation: keras.Operation, name: str) -> keras.Operation:
    """Returns the same operation under another name, with no calls recorded.

    Everything else is shared, above all the variables: training one trains both.
    """
    copy: keras.Operation = object.__new__(type(operation))
    vars(copy).update(vars(operation))
    vars(copy).update(name=name, _inbound_nodes=[], _outbound_nodes=[])
    return copy


def full_precision(variable: keras.Variable) -> Any:
    """Returns a variable's values as they are stored, also inside a layer that computes in half precision."""
    return variable._value


def replace_call(layer: keras.Layer, function: Callable[..., Any]) -> Callable[[], None]:
    """Lets one layer run `function(*inputs, training=...)` in place of its `call`; returns what undoes it."""
    saved = {name: vars(layer)[name] for name in _CALL if name in vars(layer)}
    flags = layer._call_has_context_arg | {"training": True}
    vars(layer).update(call=function, _call_has_training_arg=True, _call_has_context_arg=flags)

    def undo() -> None:
        for name in (*_CALL, _REPLACED):
            vars(layer).pop(name, None)
        vars(layer).update(saved)

    vars(layer)[_REPLACED] = undo
    return undo


@contextmanager
def own_call(layer: keras.Layer) -> Iterator[None]:
    """Lets a layer run its own `call` meanwhile, if another has taken its place."""
    before = dict(vars(layer))
    undo = before.get(_REPLACED)
    if undo is None:
        yield
        return
    undo()
    try:
        yield
    finally:
        vars(layer).update({name: before[name] for name in (*_CALL, _REPLACED) if name in before})


@contextmanager
def left_as_it_was(model: keras.Model) -> Iterator[None]:
    """Undoes on exit, also after an exception, what symbolic calls leave behind in a model.

    Restores the attributes of every layer and forgets the calls recorded meanwhile.
    """
    layers = all_layers(model)
    attributes = [dict(vars(layer)) for layer in layers]
    operations = list(_operations(layers))
    lengths = [(len(op._inbound_nodes), len(op._outbound_nodes)) for op in operations]
    try:
        yield
    finally:
        for layer, saved in zip(layers, attributes, strict=True):
            vars(layer).clear()
            vars(layer).update(saved)
        for op, (inbound, outbound) in zip(operations, lengths, strict=True):
            del op._inbound_nodes[inbound:]
            del op._outbound_nodes[outbound:]


@contextmanager
def batch_left_open() -> Iterator[None]:
    """Lets a reshape to `ops.shape(x)[0]`, which is None of a symbolic tensor, leave the batch open."""
    kind = type(keras.ops.reshape(keras.KerasTensor((None, 1)), (-1, 1))._keras_history.operation)
    own = kind.compute_output_spec

    def compute(self: Any, x: keras.KerasTensor) -> Any:
        self.newshape = _with_open_batch(self.newshape, x.shape)
        self._auto_config.config["newshape"] = self.newshape
        return own(self, x)

    kind.compute_output_spec = compute
    try:
        yield
    finally:
        kind.compute_output_spec = own


def _with_open_batch(shape: Any, before: tuple[int | None, ...]) -> Any:
    """Returns a new shape with -1 for a batch that is None; a -1 behind it follows from the old sizes."""
    if not isinstance(shape, list | tuple) or not len(shape) or shape[0] is not None or before[0] is not None:
        return shape
    rest = list(shape[1:])
    if None in rest or (-1 in rest and None in before[1:]):
        return shape
    others = math.prod(size for size in rest if size != -1)
    whole = math.prod(size or 1 for size in before[1:])
    return (-1, *(whole // others if size == -1 else size for size in rest))


def _operations(layers: Iterable[keras.Layer]) -> Iterator[keras.Operation]:
    seen: set[int] = set()
    for layer in layers:
        for operation in (layer, *getattr(layer, "operations", ())):
            if id(operation) not in seen:
                seen.add(id(operation))
                yield operation
