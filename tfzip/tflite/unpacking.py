"""The operations that unpack constants: DENSIFY for sparse encodings, DEQUANTIZE for half precision.

They compute nothing of the model. A runtime does them once, when it loads the file.
"""

from dataclasses import replace

from tfzip.tflite.file_graph import FileGraph, Operator, Subgraph, Tensor

DENSIFY = "DENSIFY"
_UNPACKING = (DENSIFY, "DEQUANTIZE")


def without_densify(graph: FileGraph) -> FileGraph:
    """Returns the graph with every sparse constant read directly by the operations that work on it.

    Numbers of tensors and operations stay those of the file.
    """
    return replace(graph, subgraphs=tuple(_direct(subgraph) for subgraph in graph.subgraphs))


def _direct(subgraph: Subgraph) -> Subgraph:
    sources = {
        operator.outputs[0]: operator.inputs[0]
        for operator in subgraph.operators
        if _unpacks(subgraph, operator, DENSIFY)
    }
    kept = [op for op in subgraph.operators if not _unpacks(subgraph, op, DENSIFY)]
    return replace(
        subgraph,
        operators=tuple(
            replace(op, inputs=tuple(sources.get(index, index) for index in op.inputs)) for op in kept
        ),
    )


def _unpacks(subgraph: Subgraph, operator: Operator, *names: str) -> bool:
    return (
        operator.name in names
        and len(operator.inputs) == len(operator.outputs) == 1
        and min(*operator.inputs, *operator.outputs) >= 0
        and subgraph.tensors[operator.inputs[0]].is_constant
    )


def unpacked_constants(subgraph: Subgraph) -> dict[int, Tensor]:
    """Returns the constants of a subgraph by every tensor that holds their values, unpacked or not."""
    found = {tensor.index: tensor for tensor in subgraph.tensors if tensor.is_constant}
    for operator in subgraph.operators:
        if (
            operator.name in _UNPACKING
            and len(operator.inputs) == len(operator.outputs) == 1
            and operator.inputs[0] in found
        ):
            found[operator.outputs[0]] = found[operator.inputs[0]]
    return found
