"""Which tensors of a file hold the value of which layer."""

from collections.abc import Mapping
from dataclasses import dataclass

from tfzip.graph.flat_graph import FlatGraph, FlatNode
from tfzip.runtime.replay import SessionGraph
from tfzip.runtime.session import SessionOp
from tfzip.tflite import layer_of
from tfzip.tflite.unpacking import DENSIFY

_SAME_VALUE = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Match:
    """A tensor of the file and the tensor of the model that it stands for.

    Attributes:
        op: The operation that computes it in the file.
        tensor: Its index in the file.
        value: Id of the model's tensor in the flat graph.
    """

    op: SessionOp
    tensor: int
    value: int


def match_ops(file: SessionGraph, graph: FlatGraph, outputs: Mapping[str, int]) -> tuple[Match, ...]:
    """Finds the operations whose result is the value of a layer.

    The converter fuses layers and joins their names in the name of the result, so an operation stands for the
    last of the layers it mentions. A layer that becomes several operations has its value at the last of them:
    an operation counts only when no later one mentions its layer. Layers that are called more than once and
    results that have no layer's name are left out; what they compute is part of the next match.

    Args:
        file: The file's operations and tensors.
        graph: The model.
        outputs: Id of the model's tensor for each output name of the file.

    Returns:
        Matches in the file's order of execution.
    """
    producers = {index: op for op in file.ops for index in op.outputs}
    nodes = _single_calls(graph)
    mentions: dict[int, set[str]] = {}
    for op in file.ops:
        if len(op.outputs) != 1 or op.name == DENSIFY:  # it has the name of a kernel, not of a value
            continue
        source = _computed_by(op, producers)
        paths = _layers_in(file.tensors[op.outputs[0]].name, nodes)
        mentions.setdefault(source.index, set()).update(paths)
    fixed = {
        _computed_by(producers[file.outputs[name]], producers).index: value
        for name, value in outputs.items()
        if file.outputs[name] in producers
    }
    return _choose(file, graph, nodes, mentions, fixed)


def _choose(
    file: SessionGraph,
    graph: FlatGraph,
    nodes: Mapping[str, int],
    mentions: Mapping[int, set[str]],
    fixed: Mapping[int, int],
) -> tuple[Match, ...]:
    path_of = {output: node.path for node in graph.nodes for output in node.outputs}
    last_mention: dict[str, int] = {}
    for index in sorted({*mentions, *fixed}):
        own = {path_of[fixed[index]]} if index in fixed and fixed[index] in path_of else set()
        last_mention |= dict.fromkeys(mentions.get(index, set()) | own, index)
    matches = []
    for op in file.ops:
        value = fixed.get(op.index)
        if value is None and mentions.get(op.index):
            last = max(mentions[op.index], key=nodes.__getitem__)
            node = graph.nodes[nodes[last]]
            value = node.outputs[0] if last_mention[last] == op.index and len(node.outputs) == 1 else None
        if value is not None:
            matches.append(Match(op, op.outputs[0], value))
    return tuple(matches)


def _single_calls(graph: FlatGraph) -> dict[str, int]:
    """Returns the position of each layer that is called once, by path."""
    calls: dict[str, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        if node.is_layer:
            calls.setdefault(node.path, []).append(position)
    return {path: positions[0] for path, positions in calls.items() if len(positions) == 1}


def _layers_in(name: str, nodes: Mapping[str, int]) -> set[str]:
    paths = list(nodes)
    found = (layer_of(part, paths) for part in name.split(";"))
    return {path for path in found if path is not None and path in nodes}


def _computed_by(op: SessionOp, producers: Mapping[int, SessionOp]) -> SessionOp:
    """Returns the operation that computed the value which `op` perhaps only stores in another format."""
    while op.name in _SAME_VALUE and op.inputs and op.inputs[0] in producers:
        op = producers[op.inputs[0]]
    return op


def nodes_between(graph: FlatGraph, value: int, known: set[int]) -> tuple[FlatNode, ...]:
    """Returns the operations of the model that lead from known tensors to `value`, in order."""
    maker: dict[int, FlatNode] = {output: node for node in graph.nodes for output in node.outputs}
    reached: set[int] = set()
    pending, seen = [value], set()
    while pending:
        tensor = pending.pop()
        node = maker.get(tensor)
        if node is None or tensor in seen:
            continue
        seen.add(tensor)
        reached.update(node.outputs)
        pending += [source for source in node.inputs if source not in known]
    return tuple(node for node in graph.nodes if reached.intersection(node.outputs))
