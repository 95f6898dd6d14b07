"""Ranges of activations that ignore the rarest values, written into a calibrated file before it is quantized.

TensorFlow calibrates with the smallest and largest value ever seen, so that one outlier widens every step and
more calibration data make a file worse. Leaving out the outermost values is the percentile calibration of Wu
et al. 2020, "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation".
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated

PERCENTILE = 0.9999
_BINS = 4096
_VALUES_PER_SAMPLE = 8192
Batch = dict[str, NDArray[Any]]


def narrow(calibrated: bytearray, batches: Iterable[Batch], percentile: float = PERCENTILE) -> None:
    """Narrows, in place, the ranges that a calibrated float file holds for its inner activations.

    Inputs, outputs and constants keep their full range.

    Args:
        calibrated: A .tflite whose tensors carry the smallest and largest values seen.
        batches: The calibration data again, by input name.
        percentile: Share of the values that each bound covers. Defaults to 0.9999.
    """
    graph = schema_py_generated.Model.GetRootAsModel(calibrated, 0).Subgraphs(0)
    ends = {*graph.InputsAsNumpy().tolist(), *graph.OutputsAsNumpy().tolist()}
    bounds = {index: graph.Tensors(index).Quantization() for index in range(graph.TensorsLength())}
    inner = {
        index: q for index, q in bounds.items() if index not in ends and q is not None and q.MinLength() == 1
    }
    counts = _histograms(bytes(calibrated), batches, {i: (q.Min(0), q.Max(0)) for i, q in inner.items()})
    for index, histogram in counts.items():
        low, high = inner[index].MinAsNumpy(), inner[index].MaxAsNumpy()
        low[0], high[0] = _covering(histogram, float(low[0]), float(high[0]), percentile)


def _histograms(
    content: bytes, batches: Iterable[Batch], limits: dict[int, tuple[float, float]]
) -> dict[int, NDArray[np.int64]]:
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    computed = {index: ends for index, ends in limits.items() if ends[1] > ends[0]}
    counts = {index: np.zeros(_BINS, np.int64) for index in computed}
    rng = np.random.default_rng(0)
    for batch in batches:
        runner(**batch)
        for index, ends in computed.items():
            values = interpreter.get_tensor(index).ravel()
            if values.size > _VALUES_PER_SAMPLE:
                values = values[rng.integers(0, values.size, _VALUES_PER_SAMPLE)]
            counts[index] += np.histogram(values, _BINS, ends)[0]
    return counts


def _covering(
    histogram: NDArray[np.int64], low: float, high: float, percentile: float
) -> tuple[float, float]:
    """Returns bounds on edges of bins, past each of which at most `1 - percentile` of the values lie."""
    outside = (1.0 - percentile) * histogram.sum()
    first = int(np.searchsorted(np.cumsum(histogram), outside, side="right"))
    last = _BINS - int(np.searchsorted(np.cumsum(histogram[::-1]), outside, side="right"))
    edges = np.linspace(low, high, _BINS + 1)
    if first >= last:
        return low, high
    return min(float(edges[first]), 0.0), max(float(edges[last]), 0.0)
