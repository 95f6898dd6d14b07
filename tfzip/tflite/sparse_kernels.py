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

KERNEL_INPUT = 1
"""Where an operation that multiplies with a kernel reads it."""

_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"}
_TAKEN = {
    ("float", "float"): ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"),
    ("float", "int8"): ("DEPTHWISE_CONV_2D",),
    ("int8", "int8"): ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"),
    ("int16", "int8"): ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"),
}
"""By types of activations and kernel: operations that load with an unpacked kernel, with and without XNNPACK.

Of the others XNNPACK takes some and then fails, so that the file does not load (measured with ai-edge-litert
2.3.0; files of TensorFlow's own sparse encoding fail likewise).
"""

_OVERHEAD_BYTES = 288  # the operation, one tensor more, and the tables of the encoding


@dataclass(frozen=True)
class SparseKernel:
    """A kernel of a file.

    Attributes:
        subgraph: Number of its subgraph.
        tensor: The constant.
        operators: The operations that compute with it.
        zeros: Share of its values that are zero.
    """

    subgraph: int
    tensor: Tensor
    operators: tuple[Operator, ...]
    zeros: float


def kernels_in(graph: FileGraph) -> Iterator[SparseKernel]:
    """Yields the constants of two or more axes that weighted operations multiply with."""
    for number, subgraph in enumerate(without_densify(graph).subgraphs):
        constants = unpacked_constants(subgraph)
        readers: dict[int, list[Operator]] = {}
        for operator in subgraph.operators:
            reads_kernel = operator.name in _WEIGHTED and len(operator.inputs) > KERNEL_INPUT
            if reads_kernel and operator.outputs and operator.outputs[0] >= 0:
                tensor = constants.get(operator.inputs[KERNEL_INPUT])
                if tensor is not None and len(tensor.shape) >= 2:
                    readers.setdefault(tensor.index, []).append(operator)
        for index, operators in readers.items():
            tensor = subgraph.tensors[index]
            yield SparseKernel(number, tensor, tuple(operators), zero_fraction(graph, tensor))


def why_dense(graph: FileGraph, kernel: SparseKernel) -> str:
    """Returns why a kernel with many zeros is not encoded; empty when it should be."""
    tensor, subgraph = kernel.tensor, graph.subgraphs[kernel.subgraph]
    if tensor.dtype not in DENSIFY_TYPES:
        return f"LiteRT unpacks {', '.join(DENSIFY_TYPES)}, not {tensor.dtype}"
    if any(tensor.zero_points):
        return "its zero point is not 0"
    if _others_read(subgraph, tensor):
        return "an operation reads it that wants a constant"
    for operator in kernel.operators:
        made = subgraph.tensors[operator.outputs[0]]
        types = _kind(made), _kind(tensor)
        if operator.name not in _TAKEN.get(types, ()):
            return (
                f"XNNPACK does not load {operator.name} on {types[0]} values with an unpacked {tensor.dtype}"
                " kernel"
            )
    if _fails_on_arm(subgraph):
        return (
            "XNNPACK on ARM does not load a file in which a convolution reads the last global average; put"
            " tfzip.prepare_for_sparse before the training, which makes it Dense"
        )
    packed = best_axis(graph, tensor)[1]
    if packed >= tensor.size_bytes:
        return f"{format_bytes(tensor.size_bytes)} as it is, {format_bytes(packed)} in the sparse encoding"
    return ""


def _fails_on_arm(subgraph: Subgraph) -> bool:
    """Whether a convolution of floats reads the last mean over an image (measured with ai-edge-litert 2.3.0).

    One that reads a mean on the way to another, as in squeeze and excitation, does no harm.
    """
    means = {
        operator.outputs[0]
        for operator in subgraph.operators
        if operator.name == "MEAN" and subgraph.tensors[operator.outputs[0]].is_float
    }
    return any(
        operator.name == "CONV_2D"
        and operator.inputs[0] in means
        and not means & _made_from(subgraph, operator.outputs[0])
        for operator in subgraph.operators
    )


def _made_from(subgraph: Subgraph, tensor: int) -> set[int]:
    """Returns all tensors that are computed from one; operations are in the order of execution."""
    reached = {tensor}
    for operator in subgraph.operators:
        if reached & set(operator.inputs):
            reached |= set(operator.outputs)
    return reached


def _kind(tensor: Tensor) -> str:
    return "float" if tensor.is_float else tensor.dtype


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
    """Whether anything but weighted operations, for their kernel, reads a constant."""
    names = {index for index, one in unpacked_constants(subgraph).items() if one.index == tensor.index}
    if names & {*subgraph.inputs, *subgraph.outputs}:
        return True
    return any(
        index in names and (operator.name not in _WEIGHTED or place != KERNEL_INPUT)
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
            kernel.operators[0].name,
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
    return Finding("not_sparse", best.operators[0].name, _layer(graph, best, layer_paths), cost)


def _layer(graph: FileGraph, kernel: SparseKernel, layer_paths: Sequence[str]) -> str:
    subgraph = graph.subgraphs[kernel.subgraph]
    return (
        layer_of_operator(graph, subgraph, kernel.operators[0], layer_paths=layer_paths) or kernel.tensor.name
    )
