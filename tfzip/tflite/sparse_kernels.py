"""Which kernels of a file a sparse encoding makes smaller, and why the others stay dense."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfzip.artifact import Finding
from tfzip.tflite.file_graph import FileGraph, Operator, Subgraph, Tensor
from tfzip.tflite.naming import layer_of_operator
from tfzip.tflite.sparse_layout import SparseLayout
from tfzip.tflite.sparsity import zero_fraction
from tfzip.tflite.unpacking import unpacked_constants, without_densify
from tfzip.units import format_bytes, format_fraction

FEWEST_ZEROS = 2 / 3
"""Share of zeros from which a kernel is encoded; XNNPACK's sparse kernels begin there too."""

DENSIFY_TYPES = ("float32", "float16", "int8")
"""What LiteRT's DENSIFY kernel unpacks."""

_KERNEL_INPUT = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "CONV_3D": 1,
    "BATCH_MATMUL": 1,
}
_OVERHEAD_BYTES = 288  # the operation, one tensor more, and the tables of the encoding


@dataclass(frozen=True)
class SparseKernel:
    """A kernel of a file.

    Attributes:
        subgraph: Number of its subgraph.
        tensor: The constant.
        operator: The first operation that computes with it.
        zeros: Share of its values that are zero.
    """

    subgraph: int
    tensor: Tensor
    operator: Operator
    zeros: float


def kernels_in(graph: FileGraph) -> Iterator[SparseKernel]:
    """Yields the constants of two or more axes that weighted operations multiply with."""
    direct = without_densify(graph)
    for number, subgraph in enumerate(direct.subgraphs):
        constants, seen = unpacked_constants(subgraph), set[int]()
        for operator in subgraph.operators:
            place = _KERNEL_INPUT.get(operator.name, len(operator.inputs))
            tensor = constants.get(operator.inputs[place]) if place < len(operator.inputs) else None
            if tensor is None or tensor.index in seen or len(tensor.shape) < 2:
                continue
            seen.add(tensor.index)
            yield SparseKernel(number, tensor, operator, zero_fraction(graph, tensor))


def why_dense(graph: FileGraph, kernel: SparseKernel) -> str:
    """Returns why a kernel with many zeros is not encoded; empty when it should be."""
    tensor = kernel.tensor
    if tensor.dtype not in DENSIFY_TYPES:
        return f"LiteRT unpacks {', '.join(DENSIFY_TYPES)}, not {tensor.dtype}"
    if any(tensor.zero_points):
        return "its zero point is not 0"
    if _others_read(graph.subgraphs[kernel.subgraph], tensor):
        return "an operation reads it that wants a constant"
    packed = best_axis(graph, tensor)[1]
    if packed >= tensor.size_bytes:
        return f"{format_bytes(tensor.size_bytes)} as it is, {format_bytes(packed)} in the sparse encoding"
    return ""


def best_axis(graph: FileGraph, tensor: Tensor) -> tuple[int, int]:
    """Returns the axis whose compression takes the fewest bytes, and how many those are."""
    values = np.asarray(graph.constant(tensor))
    sizes = []
    for axis in reversed(range(values.ndim)):
        layout, stored = SparseLayout.of(values, axis)
        sizes.append((layout.size_bytes + stored.nbytes + _OVERHEAD_BYTES, axis))
    size, axis = min(sizes, key=lambda one: one[0])
    return axis, size


def _others_read(subgraph: Subgraph, tensor: Tensor) -> bool:
    """Whether anything but the kernels' place of a weighted operation reads a constant."""
    names = {index for index, one in unpacked_constants(subgraph).items() if one.index == tensor.index}
    return bool(names & {*subgraph.inputs, *subgraph.outputs}) or any(
        index in names and place != _KERNEL_INPUT.get(operator.name)
        for operator in subgraph.operators
        if not names & set(operator.outputs)
        for place, index in enumerate(operator.inputs)
    )


def sparse_findings(graph: FileGraph, layer_paths: Sequence[str]) -> tuple[Finding, ...]:
    """Lists the kernels of a file exported sparse that are dense all the same, with the reason.

    Args:
        graph: The finished file.
        layer_paths: Paths of the model's layers.

    Returns:
        `left_dense` for each kernel with enough zeros that is not encoded; one `not_sparse`, with the highest
        share, when no kernel has enough.
    """
    kernels = list(kernels_in(graph))
    many = [kernel for kernel in kernels if kernel.zeros >= FEWEST_ZEROS]
    if kernels and not many:
        return (_not_sparse(graph, max(kernels, key=lambda kernel: kernel.zeros), layer_paths),)
    return tuple(
        Finding(
            "left_dense",
            kernel.operator.name,
            _layer(graph, kernel, layer_paths),
            f"{format_fraction(kernel.zeros)} zeros, stored dense: {why_dense(graph, kernel)}",
        )
        for kernel in many
        if not kernel.tensor.is_sparse
    )


def _not_sparse(graph: FileGraph, best: SparseKernel, layer_paths: Sequence[str]) -> Finding:
    cost = (
        f"no kernel is two thirds zeros, so none is stored sparse; this one has the most,"
        f" {format_fraction(best.zeros)}. Train with tfzip.PruningCallback(0.8), then export again"
    )
    return Finding("not_sparse", best.operator.name, _layer(graph, best, layer_paths), cost)


def _layer(graph: FileGraph, kernel: SparseKernel, layer_paths: Sequence[str]) -> str:
    subgraph = graph.subgraphs[kernel.subgraph]
    return layer_of_operator(graph, subgraph, kernel.operator, layer_paths=layer_paths) or kernel.tensor.name
