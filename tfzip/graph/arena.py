"""Where LiteRT would put tensors whose lifetimes are known, and how much memory that takes."""

from dataclasses import dataclass

ALIGNMENT_BYTES = 64


@dataclass
class Buffer:
    """Memory that one or more tensors occupy.

    Attributes:
        size_bytes: Bytes of its content.
        first: Number of the operation that writes it.
        last: Number of the last operation that reads it.
        offset: Where it was put, in bytes.
    """

    size_bytes: int
    first: int
    last: int
    offset: int = 0


def plan(buffers: list[Buffer]) -> int:
    """Places buffers as LiteRT's planner does and returns the bytes of the arena.

    Biggest first, each into the smallest gap that fits between those whose lifetimes overlap with its own:
    "greedy by size" of Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference (2020),
    https://arxiv.org/abs/2001.03288, algorithm 3. What lives through the whole run comes first.

    Args:
        buffers: Their `offset` is set.

    Returns:
        Highest end of any buffer, in bytes.
    """
    end = max((buffer.last for buffer in buffers), default=0)
    placed: list[Buffer] = []
    for buffer in sorted(
        buffers, key=lambda b: (not (b.first < 0 and b.last >= end), -b.size_bytes, b.first)
    ):
        buffer.offset = _best_gap(buffer, placed)
        placed.append(buffer)
    return max((buffer.offset + buffer.size_bytes for buffer in buffers), default=0)


def _best_gap(buffer: Buffer, placed: list[Buffer]) -> int:
    rivals = sorted(
        (other for other in placed if other.first <= buffer.last and buffer.first <= other.last),
        key=lambda other: other.offset,
    )
    best: int | None = None
    smallest_gap = 0
    free_from = 0
    for other in rivals:
        start = _aligned(free_from)
        gap = other.offset - start
        if gap >= buffer.size_bytes and (best is None or gap < smallest_gap):
            best, smallest_gap = start, gap
        free_from = max(free_from, other.offset + other.size_bytes)
    return _aligned(free_from) if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
