"""Running a model the way its file runs: folded, fused, and with something done to every stored tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfzip.graph import flatten
from tfzip.graph.flat_graph import FlatGraph, FlatNode, FlatTensor, filled
from tfzip.graph.keras_nodes import takes_training
from tfzip.graph.lowering import Lowering
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract_of, is_complete
from tfzip.quantization.emitters import Emitter, Value
from tfzip.quantization.weighted import WeightGroup, weight_groups
from tfzip.quantization_record import QuantizationRecord, input_key


@dataclass(frozen=True)
class _Mode:
    """How layers run that do something else in training."""

    training: bool
    batch_statistics: bool


class Simulation:
    """A model as the operations of its file. It shares the model's layers and owns nothing.

    Args:
        model: A built model.

    Attributes:
        graph: The model's flat graph.
        groups: Its kernels as the file holds them.
        output_keys: Names of the results that the model returns.
        whole: Paths of what runs as Keras runs it, so that tensors inside are not simulated.
    """

    def __init__(self, model: keras.Model) -> None:
        self.graph: FlatGraph = flatten(model, batch=1)
        self.groups: list[WeightGroup] = weight_groups(self.graph)
        self._lowering = Lowering(self.graph, {})
        self._groups_of: dict[int, list[WeightGroup]] = {}
        for group in self.groups:
            self._groups_of.setdefault(group.nodes[0], []).append(group)
        self._keys = _keys(self.graph)
        returned = set(self.graph.output_ids())
        self.output_keys = frozenset(
            key
            for key, node in zip(self._keys, self.graph.nodes, strict=True)
            if returned.intersection(node.outputs)
        )
        self.whole = tuple(
            node.path
            for index, node in enumerate(self.graph.nodes)
            if index not in self._lowering.folded and not is_complete(node)
        )

    def run(
        self, inputs: Any, emitter: Emitter, *, training: bool = False, batch_statistics: bool = False
    ) -> Any:
        """Computes the model's outputs.

        Args:
            inputs: As the model takes them: one tensor, or a list or dictionary of tensors.
            emitter: What happens to tensors that the file stores.
            training: Whether layers drop, move and augment as in training. Defaults to False.
            batch_statistics: Whether batch normalization uses and updates statistics of the batch. Defaults
                to False.

        Returns:
            Outputs in the model's structure.
        """
        values: dict[int, Value] = {}
        for place, (ref, tensor) in enumerate(
            zip(self.graph.input_ids(), self.in_order(inputs), strict=True)
        ):
            values[ref] = self._input(self.graph.tensors[ref], input_key(place), tensor, emitter)
        for index, node in enumerate(self.graph.nodes):
            if not set(node.outputs) <= values.keys():
                self._run_node(index, node, values, emitter, _Mode(training, batch_statistics))
        tensors = {ref: value.tensor for ref, value in values.items()}
        return filled(self.graph.outputs, tensors)

    def shapes_of(self, inputs: Any) -> dict[str, tuple[int, ...]]:
        """Returns the shape of one example of each input, by its key."""
        arrays = enumerate(self.in_order(inputs))
        return {input_key(place): tuple(map(int, array.shape[1:])) for place, array in arrays}

    def in_order(self, inputs: Any) -> list[Any]:
        """Returns the inputs as Keras hands them to the layers, in the order of the graph's.

        A dictionary may name the inputs of any model, and more; an axis of size 1 may be missing or too many.
        """
        refs, tensors = self.graph.input_ids(), self.graph.tensors
        if isinstance(inputs, dict) and isinstance(self.graph.inputs, dict):
            inputs = {name: inputs[name] for name in self.graph.inputs}
        elif isinstance(inputs, dict):
            inputs = [inputs[tensors[ref].name] for ref in refs]
        given = keras.tree.flatten(inputs)
        return [_of_rank(tensor, tensors[ref].shape) for ref, tensor in zip(refs, given, strict=True)]

    def unknown_layer(self, record: QuantizationRecord) -> str | None:
        """Returns the first layer that a record has ranges for and the model has not, if there is one."""
        known = {*self._keys, *map(input_key, range(len(self.graph.input_ids())))}
        parts = ([key, *_beginnings(key)] for key in record.ranges)
        return next((keys[0] for keys in parts if known.isdisjoint(keys)), None)

    def _input(self, spec: FlatTensor, key: str, tensor: Any, emitter: Emitter) -> Value:
        tensor = keras.ops.convert_to_tensor(tensor)
        if not keras.backend.is_float_dtype(spec.dtype):
            return Value(tensor)
        if not keras.backend.is_float_dtype(tensor.dtype):
            tensor = keras.ops.cast(tensor, spec.dtype)
        return Value(emitter.tensor(key, tensor, None), key)

    def _run_node(
        self, index: int, node: FlatNode, values: dict[int, Value], emitter: Emitter, mode: "_Mode"
    ) -> None:
        groups = tuple(self._groups_of.get(index, ()))
        followers = self._lowering.folded_after(index)
        in_kernel = groups[-1].in_kernel if groups else ()
        folded = [follower for follower in followers if follower not in in_kernel]

        def tail(tensor: Any) -> Any:
            for follower in folded:
                tensor = _computed(self.graph.nodes[follower], [tensor], values, mode)
            return tensor

        def compute(tensors: Sequence[Any]) -> Any:
            return _computed(node, tensors, values, mode)

        last = followers[-1] if followers else index
        call = Call(
            node,
            tuple(values[ref] for ref in node.inputs),
            self._keys[last],
            self._keys[index],
            emitter,
            groups,
            mode.batch_statistics,
            tail,
            compute,
        )
        found = contract_of(node)(call)
        results = [found] if isinstance(found, Value) else list(found)
        values |= dict(zip(node.outputs, results, strict=True))
        for follower in followers:
            for one in (follower, *self._lowering.twins.get(follower, ())):
                values[self.graph.nodes[one].outputs[0]] = results[0]


def _of_rank(tensor: Any, shape: Sequence[int | None]) -> Any:
    """Returns a tensor with the axes that an input declares, as Keras makes it."""
    if len(tensor.shape) == len(shape) - 1 and shape[-1] == 1:
        return keras.ops.expand_dims(tensor, -1)
    if len(tensor.shape) == len(shape) + 1 and tensor.shape[-1] == 1:
        return keras.ops.squeeze(tensor, -1)
    return tensor


def _beginnings(key: str) -> list[str]:
    """Returns the paths above a key: `a` and `a/b` of `a/b/c`."""
    places = [index for index, letter in enumerate(key) if letter == "/"]
    return [key[:index] for index in places]


def _keys(graph: FlatGraph) -> list[str]:
    """Returns the name of each node's result: its path, and the number of the call from the second on."""
    calls: dict[str, int] = {}
    keys = []
    for node in graph.nodes:
        calls[node.path] = calls.get(node.path, 0) + 1
        keys.append(node.path if calls[node.path] == 1 else f"{node.path}#{calls[node.path]}")
    return keys


def _computed(node: FlatNode, tensors: Sequence[Any], values: dict[int, Value], mode: _Mode) -> Any:
    """Runs a node on other tensors than those of `values`, in the order of its inputs."""
    known = {ref: value.tensor for ref, value in values.items()}
    known |= dict(zip(node.inputs, tensors, strict=True))
    args, kwargs = filled((node.args, node.kwargs), known)
    if takes_training(node.operation) and "training" not in kwargs:
        learns = isinstance(node.operation, keras.layers.BatchNormalization)
        kwargs["training"] = mode.batch_statistics if learns else mode.training
    return node.operation(*args, **kwargs)
