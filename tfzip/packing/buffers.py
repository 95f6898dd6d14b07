"""Where a .tflite keeps its weights."""

import math
from dataclasses import dataclass

from tfzip.tflite.file_graph import BITS_OF, FileGraph, Tensor

FEWEST_BYTES = 256
_ITEM_BYTES = (1, 2, 4)


@dataclass(frozen=True)
class Buffer:
    """The values of a constant.

    Attributes:
        offset: Where they begin in the file.
        size_bytes: How many bytes they take.
        item_bytes: Bytes of a value: 1, 2 or 4.
        layouts: Ways to part them into channels: how many there are, and how many values of one lie together.
    """

    offset: int
    size_bytes: int
    item_bytes: int
    layouts: tuple[tuple[int, int], ...]


def weight_buffers(graph: FileGraph) -> list[Buffer]:
    """Returns the larger constants of a file in order, none overlapping another."""
    found = {
        tensor.data_offset: tensor
        for subgraph in graph.subgraphs
        for tensor in subgraph.tensors
        if tensor.size_bytes >= FEWEST_BYTES
    }
    buffers: list[Buffer] = []
    for offset, tensor in sorted(found.items()):
        if not buffers or offset >= buffers[-1].offset + buffers[-1].size_bytes:
            buffers.append(_buffer(tensor))
    return buffers


def _buffer(tensor: Tensor) -> Buffer:
    item_bytes = BITS_OF.get(tensor.dtype, 8) // 8
    is_whole = item_bytes in _ITEM_BYTES and tensor.size_bytes % item_bytes == 0
    layouts = _layouts(tensor) if is_whole and tensor.size_bytes == tensor.dense_bytes else ()
    return Buffer(tensor.data_offset, tensor.size_bytes, item_bytes if is_whole else 1, layouts)


def _layouts(tensor: Tensor) -> tuple[tuple[int, int], ...]:
    """Returns the axis of the scales, or for weights without scales the first and the last."""
    rank = len(tensor.shape)
    axes = (tensor.quantized_axis % rank,) if len(tensor.scales) > 1 and rank else (0, rank - 1)[: 2 * rank]
    found = {(tensor.shape[axis], math.prod(tensor.shape[axis + 1 :])) for axis in axes}
    return tuple(sorted((channels, inner) for channels, inner in found if channels > 1))
