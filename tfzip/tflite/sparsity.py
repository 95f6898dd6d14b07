"""How much of a constant is zero."""

import numpy as np

from tfzip.tflite.file_graph import BITS_OF, FileGraph, Tensor


def zero_fraction(graph: FileGraph, tensor: Tensor) -> float:
    """Returns the fraction of a constant's values that stand for 0.0, in [0, 1].

    Zeros of an integer tensor are the values equal to its zero point. What a sparse encoding does not store
    is zero as well. What is no constant or holds no numbers has 0.0.
    """
    total = tensor.num_elements
    if not tensor.size_bytes or tensor.dtype not in BITS_OF or not total:
        return 0.0
    values = graph.stored(tensor) if tensor.is_sparse else graph.constant(tensor)
    zero_point = tensor.zero_points[0] if tensor.zero_points else 0
    nonzero = np.count_nonzero(values) if zero_point == 0 else np.count_nonzero(values != zero_point)
    return max(0.0, 1.0 - int(nonzero) / total)
