"""How much of a constant is zero."""

import numpy as np

from tfzip.tflite.file_graph import BITS_OF, FileGraph, Tensor


def zero_fraction(graph: FileGraph, tensor: Tensor) -> float:
    """Returns the fraction of a constant's values that stand for 0.0, in [0, 1].

    Zeros of an integer tensor are the values equal to its zero point. A sparse encoding stores blocks, so for
    it the fraction of what is not stored is given. What is no constant or holds no numbers has 0.0.
    """
    bits, total = BITS_OF.get(tensor.dtype, 0), tensor.num_elements
    if not tensor.size_bytes or not bits or not total:
        return 0.0
    if tensor.is_sparse:
        return max(0.0, 1.0 - tensor.size_bytes * 8 / bits / total)
    values = graph.constant(tensor)
    zero_point = tensor.zero_points[0] if tensor.zero_points else 0
    nonzero = np.count_nonzero(values) if zero_point == 0 else np.count_nonzero(values != zero_point)
    return 1.0 - int(nonzero) / total
