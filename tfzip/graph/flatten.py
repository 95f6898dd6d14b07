"""From a model of any kind to one flat graph of operations."""

import re
from collections.abc import Iterable
from typing import Any

import keras

from tfzip.errors import ModelError
from tfzip.graph.expand import Expansion, cause_of
from tfzip.graph.flat_graph import FlatGraph, FlatNode, FlatTensor, TensorRef
from tfzip.graph.keras_nodes import CallRecord, left_as_it_was, own_call
from tfzip.graph.model_inputs import declares_inputs, symbolic_inputs, with_integer_tokens
from tfzip.graph.walk import check_built, unique_name


def flatten(model: keras.Model, *, strict: bool = False, batch: int | None = None) -> FlatGraph:
    """Returns a model as one flat graph of layer calls and `keras.ops`.

    Nested models and user layers are entered: their `call` runs once on symbolic tensors. Stock layers stay
    whole. A user layer stays one opaque node if it owns variables itself, uses operations of another library,
    or lets data decide its control flow. The model is left exactly as it was; the graph shares its layers.

    Args:
        model: A built Functional, Sequential or subclassed model.
        strict: Whether an opaque layer is an error. Defaults to `False`.
        batch: Number of examples, where shapes are to be known. Defaults to `None`: as the model declares it.

    Returns:
        The graph, with opaque layers and their reasons in `opaque`.

    Raises:
        ModelError: The model is not built or cannot be called on symbolic inputs, or a layer is opaque and
            `strict` is set.

    Example:
        >>> graph = tfzip.flatten(model)
        >>> [node.path for node in graph.nodes]
        ['stem/conv', 'stem/norm', 'block/add', 'head']
    """
    check_built(model)
    inputs = symbolic_inputs(model, batch)
    with own_call(model), left_as_it_was(model):
        expansion = Expansion(model)
        try:
            outputs = expansion.run(inputs)
        except Exception as error:  # the user's own `call` may raise anything
            raise ModelError(
                f"Model {model.name!r} cannot be called on symbolic inputs, so its graph cannot be read."
                f" Received: {cause_of(error)}. Wrap it in a Functional model that passes all arguments."
            ) from error
        if strict and expansion.opaque:
            path, reason = next(iter(expansion.opaque.items()))
            raise ModelError(
                f"Layer {path or model.name!r} cannot be flattened: {reason}."
                " Write it with Keras layers and keras.ops, or pass strict=False to keep it whole."
            )
        graph = _describe(model, inputs, outputs, expansion)
    return graph if declares_inputs(model) else with_integer_tokens(graph)


class _Numbering:
    """Gives each symbolic tensor its id, in the order in which they are seen."""

    def __init__(self) -> None:
        self.tensors: list[FlatTensor] = []
        self._refs: dict[int, TensorRef] = {}

    def add(self, tensors: Iterable[keras.KerasTensor], *, named: bool = False) -> tuple[int, ...]:
        start = len(self.tensors)
        for tensor in tensors:
            self._refs[id(tensor)] = TensorRef(len(self.tensors))
            self.tensors.append(FlatTensor(tuple(tensor.shape), tensor.dtype, tensor.name if named else ""))
        return tuple(range(start, len(self.tensors)))

    def refer(self, structure: Any) -> Any:
        return keras.tree.map_structure(lambda leaf: self._refs.get(id(leaf), leaf), structure)


def _describe(model: keras.Model, inputs: Any, outputs: Any, expansion: Expansion) -> FlatGraph:
    name = model.name
    numbering = _Numbering()
    numbering.add(keras.tree.flatten(inputs), named=True)
    taken: set[str] = set(expansion.path_of.values())
    nodes = []
    for call in _calls_in_order(keras.tree.flatten(outputs), expansion):
        args, kwargs = numbering.refer(call.args), numbering.refer(call.kwargs)
        leaves = keras.tree.flatten((args, kwargs))
        if any(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
            raise ModelError(
                f"{call.operation.name!r} in model {name!r} reads a tensor that the inputs do not feed."
                " Pass it to the layer as an argument instead of keeping it in an attribute."
            )
        read = tuple(leaf.id for leaf in leaves if isinstance(leaf, TensorRef))
        path = _path(call, expansion, taken, name)
        nodes.append(FlatNode(path, call.operation, args, kwargs, read, numbering.add(call.outputs)))
    return FlatGraph(
        name,
        numbering.refer(inputs),
        numbering.refer(outputs),
        tuple(nodes),
        tuple(numbering.tensors),
        tuple((path or name, reason) for path, reason in expansion.opaque.items()),
        tuple(path or name for path in expansion.inference_only),
        _output_names(model, outputs),
    )


def _output_names(model: keras.Model, outputs: Any) -> tuple[str, ...]:
    """Returns the names that losses and metrics are given by, which are those of the last layers."""
    if isinstance(outputs, dict) or isinstance(model, keras.Sequential):
        return ()
    names = tuple(getattr(model, "output_names", None) or ())
    return names if len(set(names)) == len(keras.tree.flatten(outputs)) else ()


def _calls_in_order(outputs: list[keras.KerasTensor], expansion: Expansion) -> list[CallRecord]:
    """Returns every call the outputs depend on, each after the calls it reads from."""
    ordered: list[CallRecord] = []
    done: set[int] = set()
    pending: list[tuple[keras.KerasTensor, CallRecord | None]] = [
        (tensor, None) for tensor in reversed(outputs)
    ]
    while pending:
        tensor, finished = pending.pop()
        if id(tensor) in done:
            continue
        if finished is not None:
            ordered.append(finished)
            done |= {id(output) for output in finished.outputs}
            continue
        call = expansion.call_of(tensor)
        if call is not None:
            pending.append((tensor, call))
            leaves = keras.tree.flatten((call.args, call.kwargs))
            pending += [(leaf, None) for leaf in reversed(leaves) if isinstance(leaf, keras.KerasTensor)]
    return ordered


def _path(call: CallRecord, expansion: Expansion, taken: set[str], model_name: str) -> str:
    known = expansion.path_of.get(id(call.operation))
    if known is not None:
        return known or model_name
    scope = expansion.scope_of.get(id(call.outputs[0]), "")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(call.operation).__name__).lower()
    return unique_name(f"{scope}/{name}" if scope else name, taken)
