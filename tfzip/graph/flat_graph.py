"""A model as one flat list of operations: the description every later pass reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class TensorRef:
    """Stands for a tensor inside the arguments of a node.

    Attributes:
        id: Index into `FlatGraph.tensors`.
    """

    id: int


@dataclass(frozen=True)
class FlatTensor:
    """What is known of a tensor before running the model.

    Attributes:
        shape: Sizes, `None` where they are only known at run time.
        dtype: As Keras names it.
        name: Name of an input; empty for the others.
    """

    shape: tuple[int | None, ...]
    dtype: str
    name: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape with 1 for every size that is only known at run time."""
        return tuple(size or 1 for size in self.shape)


@dataclass(frozen=True)
class FlatNode:
    """One call of one operation.

    Attributes:
        path: Path of the layer as `walk` gives it, or scope and name of a `keras.ops` operation. All calls of
            a shared layer have the same path.
        operation: The very layer of the model, with its weights, or the operation.
        args: Positional arguments with `TensorRef` in place of tensors.
        kwargs: Keyword arguments, likewise. Masks that Keras passes on by itself are written out here;
            `training` is here only if the model's code fixes it.
        inputs: Ids of the tensors read, in order.
        outputs: Ids of the tensors made, in flat order.
    """

    path: str
    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def is_layer(self) -> bool:
        """Whether the operation is a layer and not one of `keras.ops`."""
        return isinstance(self.operation, keras.Layer)


@dataclass(frozen=True)
class FlatGraph:
    """A model as calls in topological order; it shares the layers of the model and owns nothing.

    Attributes:
        name: Name of the model.
        inputs: Structure of the model's inputs with `TensorRef` leaves.
        outputs: Structure of its outputs, likewise.
        nodes: Calls, each after those it reads from.
        tensors: Indexed by tensor id.
        opaque: `(path, reason)` of every layer whose inside is not visible.
        inference_only: Paths of layers whose code asks `if training:`. The graph holds the other branch.
        output_names: Names of the outputs in flat order, where the model has names for them.
    """

    name: str
    inputs: Any
    outputs: Any
    nodes: tuple[FlatNode, ...]
    tensors: tuple[FlatTensor, ...]
    opaque: tuple[tuple[str, str], ...] = ()
    inference_only: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def consumers(self) -> dict[int, list[int]]:
        """Returns, for each tensor id, the indices of the nodes that read it."""
        readers: dict[int, list[int]] = {index: [] for index in range(len(self.tensors))}
        for index, node in enumerate(self.nodes):
            for tensor in dict.fromkeys(node.inputs):
                readers[tensor].append(index)
        return readers

    def input_ids(self) -> tuple[int, ...]:
        """Returns the tensor ids of the inputs in flat order."""
        return tuple(ref.id for ref in keras.tree.flatten(self.inputs))

    def output_ids(self) -> tuple[int, ...]:
        """Returns the tensor ids of the outputs in flat order."""
        return tuple(ref.id for ref in keras.tree.flatten(self.outputs))


def filled(structure: Any, values: Mapping[int, Any]) -> Any:
    """Returns a structure with its value, by tensor id, in place of each `TensorRef`."""
    return keras.tree.map_structure(
        lambda leaf: values[leaf.id] if isinstance(leaf, TensorRef) else leaf, structure
    )
