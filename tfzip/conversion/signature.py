"""The inputs and outputs of a file."""

from collections.abc import Mapping

from tfzip.artifact import TensorSpec
from tfzip.tflite import FileGraph
from tfzip.tflite.file_graph import Tensor


def file_signature(graph: FileGraph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns the inputs and the outputs of a file's first signature, with their integer grids."""
    signature = graph.signatures[0]
    tensors = graph.subgraphs[signature.subgraph].tensors

    def specs(names: Mapping[str, int]) -> tuple[TensorSpec, ...]:
        return tuple(_file_spec(name, tensors[index]) for name, index in names.items())

    return specs(signature.inputs), specs(signature.outputs)


def _file_spec(name: str, tensor: Tensor) -> TensorSpec:
    scale = tensor.scales[0] if tensor.scales else 0.0
    zero_point = tensor.zero_points[0] if tensor.zero_points else 0
    return TensorSpec(name, tensor.shape_signature, tensor.dtype, scale, zero_point)
