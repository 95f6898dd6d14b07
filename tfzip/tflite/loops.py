"""How often the bodies of loops run, which multiplies what they cost."""

from tfzip.tflite.file_graph import FileGraph, Operator, Subgraph

_BRANCHES = ("ThenSubgraphIndex", "ElseSubgraphIndex", "InitSubgraphIndex", "Subgraph")


def runs_of_subgraphs(graph: FileGraph) -> tuple[int, ...]:
    """Returns how often each subgraph runs in one inference, 1 where the file does not tell.

    Loops over a sequence, as converters write them for recurrent layers, count from a constant up to a
    constant in steps of 1; their bodies run as often as that. Branches count as taken once.
    """
    runs = dict.fromkeys(range(len(graph.subgraphs)), 1)
    waiting, seen = [0], {0}
    while waiting:
        number = waiting.pop()
        subgraph = graph.subgraphs[number]
        for operator in subgraph.operators:
            for callee, times in _calls(graph, subgraph, operator):
                if callee not in seen and 0 < callee < len(graph.subgraphs):
                    runs[callee] = runs[number] * times
                    seen.add(callee)
                    waiting.append(callee)
    return tuple(runs.values())


def _calls(graph: FileGraph, caller: Subgraph, operator: Operator) -> list[tuple[int, int]]:
    """Returns the subgraphs that an operation runs, and how often at each of its own runs."""
    options = operator.options
    if "BodySubgraphIndex" in options and "CondSubgraphIndex" in options:
        body, condition = options["BodySubgraphIndex"], options["CondSubgraphIndex"]
        turns = _turns(graph, caller, operator, condition=condition)
        return [(body, turns), (condition, turns + 1)]
    return [(options[name], 1) for name in _BRANCHES if name in options]


def _turns(graph: FileGraph, caller: Subgraph, loop: Operator, *, condition: int) -> int:
    """Returns the least distance from a counter's constant start to the constant it stays below."""
    if not 0 <= condition < len(graph.subgraphs):
        return 1
    test = graph.subgraphs[condition]
    distances = []
    for operator in test.operators:
        if operator.name == "LESS" and len(operator.inputs) == 2 and operator.inputs[0] in test.inputs:
            slot = test.inputs.index(operator.inputs[0])
            start = _scalar(graph, caller, loop.inputs[slot]) if slot < len(loop.inputs) else None
            end = _scalar(graph, test, operator.inputs[1])
            if start is not None and end is not None:
                distances.append(end - start)
    return max(1, min(distances, default=1))


def _scalar(graph: FileGraph, subgraph: Subgraph, index: int) -> int | None:
    """Returns the value of a constant integer, or None for anything else."""
    tensor = subgraph.tensors[index] if index >= 0 else None
    if tensor is None or tensor.num_elements != 1 or tensor.dtype not in ("int32", "int64"):
        return None
    return int(graph.constant(tensor).reshape(-1)[0]) if tensor.size_bytes and not tensor.is_sparse else None
