"""Running a model the way its file runs: folded, fused, and with something done to every stored tensor."""

from collections.abc import Sequence
from typing import Any

import keras

from tfzip.graph import flatten
from tfzip.graph.flat_graph import FlatGraph, FlatNode, FlatTensor, filled
from tfzip.graph.lowering import Lowering
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract_of, is_complete
from tfzip.quantization.emitters import Emitter, Value
from tfzip.quantization.weighted import WeightGroup, weight_groups


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

    def run(self, inputs: Any, emitter: Emitter, *, batch_statistics: bool = False) -> Any:
        """Computes the model's outputs.

        Args:
            inputs: As the model takes them: one tensor, or a list or dictionary of tensors.
            emitter: What happens to tensors that the file stores.
            batch_statistics: Whether batch normalization uses and updates statistics of the batch. Defaults
                to False.

        Returns:
            Outputs in the model's structure.
        """
        values: dict[int, Value] = {}
        for ref, tensor in zip(self.graph.input_ids(), self._flat(inputs), strict=True):
            values[ref] = self._input(self.graph.tensors[ref], tensor, emitter)
        for index, node in enumerate(self.graph.nodes):
            if not set(node.outputs) <= values.keys():
                self._run_node(index, node, values, emitter, batch_statistics)
        tensors = {ref: value.tensor for ref, value in values.items()}
        return filled(self.graph.outputs, tensors)

    def shapes_of(self, inputs: Any) -> dict[str, tuple[int, ...]]:
        """Returns the shape of one example of each input, by name."""
        arrays = zip(self.graph.input_ids(), self._flat(inputs), strict=True)
        return {self.graph.tensors[ref].name: tuple(map(int, array.shape[1:])) for ref, array in arrays}

    def _flat(self, inputs: Any) -> list[Any]:
        """Returns the inputs in the order of the graph's; a dictionary may name those of any model."""
        if isinstance(inputs, dict) and not isinstance(self.graph.inputs, dict):
            return [inputs[self.graph.tensors[ref].name] for ref in self.graph.input_ids()]
        return list(keras.tree.flatten(inputs))

    def _input(self, spec: FlatTensor, tensor: Any, emitter: Emitter) -> Value:
        tensor = keras.ops.convert_to_tensor(tensor)
        if not keras.backend.is_float_dtype(spec.dtype):
            return Value(tensor)
        if not keras.backend.is_float_dtype(tensor.dtype):
            tensor = keras.ops.cast(tensor, spec.dtype)
        key = f"input:{spec.name}"
        return Value(emitter.tensor(key, tensor, None), key)

    def _run_node(
        self, index: int, node: FlatNode, values: dict[int, Value], emitter: Emitter, batch_statistics: bool
    ) -> None:
        groups = tuple(self._groups_of.get(index, ()))
        followers = self._lowering.folded_after(index)
        in_kernel = groups[-1].in_kernel if groups else ()
        folded = [follower for follower in followers if follower not in in_kernel]

        def tail(tensor: Any) -> Any:
            for follower in folded:
                tensor = _computed(self.graph.nodes[follower], [tensor], values)
            return tensor

        def compute(tensors: Sequence[Any]) -> Any:
            return _computed(node, tensors, values)

        last = followers[-1] if followers else index
        call = Call(
            node,
            tuple(values[ref] for ref in node.inputs),
            self._keys[last],
            self._keys[index],
            emitter,
            groups,
            batch_statistics,
            tail,
            compute,
        )
        found = contract_of(node)(call)
        results = [found] if isinstance(found, Value) else list(found)
        values |= dict(zip(node.outputs, results, strict=True))
        for follower in followers:
            for one in (follower, *self._lowering.twins.get(follower, ())):
                values[self.graph.nodes[one].outputs[0]] = results[0]


def _keys(graph: FlatGraph) -> list[str]:
    """Returns the name of each node's result: its path, and the number of the call from the second on."""
    calls: dict[str, int] = {}
    keys = []
    for node in graph.nodes:
        calls[node.path] = calls.get(node.path, 0) + 1
        keys.append(node.path if calls[node.path] == 1 else f"{node.path}#{calls[node.path]}")
    return keys


def _computed(node: FlatNode, tensors: Sequence[Any], values: dict[int, Value]) -> Any:
    """Runs a node on other tensors than those of `values`, in the order of its inputs."""
    known = {ref: value.tensor for ref, value in values.items()}
    known |= dict(zip(node.inputs, tensors, strict=True))
    args, kwargs = filled((node.args, node.kwargs), known)
    return node.operation(*args, **kwargs)
