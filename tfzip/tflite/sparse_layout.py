"""The sparse encoding of a constant: which values are stored, and where they stand in the dense tensor.

A tensor is walked axis by axis in a traversal order. A dense axis visits every index; a compressed one (CSR)
lists the indices that hold something, and segments that say which of them belong to which visit of the axes
before it. An axis may be cut into blocks, whose insides are further dense axes at the end of the order. The
format is that of `SparsityParameters` in TensorFlow's `compiler/mlir/lite/schema/schema.fbs`, after Chou et
al. (2018), "Format Abstraction for Sparse Tensor Algebra Compilers".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import FileFormatError

Indices = NDArray[Any]
MOST_DENSE_BYTES = 1 << 31
"""What a dense file can hold, so that a small hostile file cannot ask for more."""


@dataclass(frozen=True)
class Axis:
    """One axis of the traversal.

    Attributes:
        size: Indices that a dense axis visits; 0 for a compressed one.
        segments: For each visit of the axes before it, where its indices begin; None for a dense axis.
        indices: The indices that are visited; None for a dense axis.
    """

    size: int = 0
    segments: Indices | None = None
    indices: Indices | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of both vectors in the file."""
        return sum(part.nbytes for part in (self.segments, self.indices) if part is not None)


@dataclass(frozen=True)
class SparseLayout:
    """Where the stored values of a sparse tensor belong.

    Attributes:
        order: Axes in the order of traversal; numbers from the rank on are the insides of blocks.
        block_map: For each block axis, the axis that it cuts.
        axes: What each place of the order visits.
    """

    order: tuple[int, ...]
    block_map: tuple[int, ...]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, values: NDArray[Any], axis: int) -> tuple[Self, NDArray[Any]]:
        """Encodes an array with one compressed axis, walked last, as TensorFlow's converter does.

        Args:
            values: The dense array.
            axis: Which axis is compressed.

        Returns:
            The layout, and the values that are stored, in its order.
        """
        others = [other for other in range(values.ndim) if other != axis]
        rows = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        stored = rows != 0
        stored[:1, :1] |= not stored.any()  # a constant without any bytes would be no constant
        ends = np.cumsum(stored.sum(axis=1), dtype=np.int64)
        last = Axis(0, _narrowest(np.concatenate([[0], ends])), _narrowest(np.nonzero(stored)[1]))
        axes = (*(Axis(values.shape[other]) for other in others), last)
        return cls((*others, axis), (), axes), rows[stored]

    @property
    def size_bytes(self) -> int:
        """Bytes that segments and indices take in the file."""
        return sum(axis.size_bytes for axis in self.axes)

    def dense(self, stored: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
        """Returns the dense array with zeros where nothing is stored.

        Raises:
            FileFormatError: The layout and the values contradict each other or the shape.
        """
        if math.prod(shape) * stored.itemsize > MOST_DENSE_BYTES:
            raise FileFormatError(f"its dense shape {tuple(shape)} is larger than a file can hold")
        places = self.places(shape, len(stored))
        made = np.zeros(math.prod(shape), stored.dtype)
        made[places] = stored
        return made.reshape(tuple(shape))

    def places(self, shape: Sequence[int], num_stored: int) -> NDArray[np.int64]:
        """Returns where each stored value belongs in the flat dense array.

        Raises:
            FileFormatError: The layout does not fit the shape or the number of values.
        """
        extents = self._extents(shape)
        places = np.zeros(1, np.int64)
        for place, (axis, (extent, stride)) in enumerate(zip(self.axes, extents, strict=True)):
            if axis.segments is None or axis.indices is None:
                if axis.size != extent or len(places) * extent > self._room(place, num_stored):
                    raise FileFormatError(f"axis {place} of a sparse tensor visits {axis.size} of {extent}")
                places = (places[:, None] + stride * np.arange(extent)).reshape(-1)
            else:
                places = _repeated(places, axis.segments, axis.indices, extent)
                places += stride * axis.indices.astype(np.int64)
        if len(places) != num_stored:
            raise FileFormatError(f"a sparse tensor has {num_stored} values for {len(places)} places")
        return places

    def _room(self, place: int, num_stored: int) -> int:
        """Returns how many visits the next compressed axis, or the values, have room for."""
        later = (axis.segments for axis in self.axes[place + 1 :])
        return next((len(segments) - 1 for segments in later if segments is not None), num_stored)

    def _extents(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Returns, for each place of the order, how many indices it has and how far they are apart."""
        rank, blocks = len(shape), len(self.block_map)
        is_whole = sorted(self.order) == list(range(rank + blocks)) and len(self.axes) == rank + blocks
        is_ordered = all(number >= rank for number in self.order[rank:])
        cut = list(self.block_map)
        if not (is_whole and is_ordered) or cut != sorted({axis for axis in cut if 0 <= axis < rank}):
            raise FileFormatError(f"a sparse tensor of shape {tuple(shape)} has the traversal {self.order}")
        sizes, strides = list(shape), [math.prod(shape[axis + 1 :]) for axis in range(rank)]
        inner = []
        for number, axis in enumerate(cut):
            size = self.axes[self.order.index(rank + number)].size
            if size < 1 or sizes[axis] % size:
                raise FileFormatError(f"blocks of {size} do not divide axis {axis} of shape {tuple(shape)}")
            inner.append((size, strides[axis]))
            sizes[axis], strides[axis] = sizes[axis] // size, strides[axis] * size
        every = [*zip(sizes, strides, strict=True), *inner]
        return [every[number] for number in self.order]


def _repeated(
    places: NDArray[np.int64], segments: Indices, indices: Indices, extent: int
) -> NDArray[np.int64]:
    """Returns, for each index of a compressed axis, the place before it, after checking both vectors."""
    begins = segments.astype(np.int64)
    counts = np.diff(begins)
    whole = len(begins) == len(places) + 1 and begins[0] == 0 and begins[-1] == len(indices)
    if not whole or (counts < 0).any():
        raise FileFormatError("the segments of a sparse tensor do not fit its indices")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= extent):
        raise FileFormatError(f"a sparse tensor has an index outside its axis of {extent}")
    return np.repeat(places, counts)


def _narrowest(numbers: NDArray[Any]) -> Indices:
    """Returns indices in the smallest type that the format has: uint8, uint16 or int32."""
    largest = int(numbers.max(initial=0))
    return numbers.astype(np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.int32)
