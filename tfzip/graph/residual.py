"""Residual blocks of a flat graph, and the graph without some of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import keras

from tfzip.graph.flat_graph import FlatGraph, FlatNode, TensorRef


@dataclass(frozen=True)
class ResidualBlock:
    """An addition whose one side is made from its other side alone, so that it can be left out.

    Attributes:
        path: Of the addition.
        shortcut: The tensor that the block adds something to.
        output: The sum.
        branch: Indices of the nodes that make what is added.
        shape: Of the sum.
    """

    path: str
    shortcut: int
    output: int
    branch: frozenset[int]
    shape: tuple[int | None, ...]


def residual_blocks(graph: FlatGraph) -> list[ResidualBlock]:
    """Returns the innermost blocks that keep the shape of what they add to, in the order of the graph."""
    found = {
        index: block
        for index, node in enumerate(graph.nodes)
        if type(node.operation).__name__ == "Add" and len(node.inputs) == 2
        for block in [_block(graph, node, index)]
        if block is not None
    }
    return [block for block in found.values() if not block.branch & found.keys()]


def without_blocks(graph: FlatGraph, blocks: Iterable[ResidualBlock]) -> FlatGraph:
    """Returns a graph in which what a block adds is left out."""
    stands_for = {block.output: block.shortcut for block in blocks}
    gone = {index for block in blocks for index in block.branch}

    def known(leaf: Any) -> Any:
        if not isinstance(leaf, TensorRef):
            return leaf
        found = leaf.id
        while found in stands_for:
            found = stands_for[found]
        return TensorRef(found)

    nodes = []
    for index, node in enumerate(graph.nodes):
        if index in gone or stands_for.keys() & set(node.outputs):
            continue
        args, kwargs = keras.tree.map_structure(known, (node.args, node.kwargs))
        inputs = tuple(known(TensorRef(tensor)).id for tensor in node.inputs)
        nodes.append(replace(node, args=args, kwargs=kwargs, inputs=inputs))
    return replace(graph, nodes=tuple(nodes), outputs=keras.tree.map_structure(known, graph.outputs))


def _block(graph: FlatGraph, node: FlatNode, index: int) -> ResidualBlock | None:
    readers = graph.consumers()
    output = node.outputs[0]
    for shortcut, added in (node.inputs, node.inputs[::-1]):
        branch = _between(graph, readers, shortcut, added, index)
        if shortcut == added or not branch or graph.tensors[shortcut].shape != graph.tensors[output].shape:
            continue
        inner = {tensor for one in branch for tensor in graph.nodes[one].outputs}
        if inner & set(graph.output_ids()) or any(
            reader not in branch | {index} for tensor in inner for reader in readers[tensor]
        ):
            continue
        return ResidualBlock(node.path, shortcut, output, frozenset(branch), graph.tensors[output].shape)
    return None


def _between(graph: FlatGraph, readers: dict[int, list[int]], start: int, end: int, limit: int) -> set[int]:
    """Returns the nodes on the ways from one tensor to another, all of them before node `limit`."""
    ahead: set[int] = set()
    waiting = [start]
    while waiting:
        for reader in readers[waiting.pop()]:
            if reader < limit and reader not in ahead:
                ahead.add(reader)
                waiting += graph.nodes[reader].outputs
    makers = {tensor: number for number in ahead for tensor in graph.nodes[number].outputs}
    behind: set[int] = set()
    waiting = [end]
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is not None and maker not in behind:
            behind.add(maker)
            waiting += graph.nodes[maker].inputs
    return behind
