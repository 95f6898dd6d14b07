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
_MASK = -1e6
_NO_WEIGHT = 12.0  # exp(-12) is less than a tenth of the step of an int8 softmax
Batch = dict[str, NDArray[Any]]


def narrow(calibrated: bytearray, batches: Iterable[Batch], percentile: float = PERCENTILE) -> None:
    """Narrows, in place, the ranges that a calibrated float file holds for its inner activations.

    Inputs, outputs and constants keep their full range. Where attention is masked by a number close to minus
    infinity, that number is replaced by one just low enough for a weight of zero, since a grid that reached
    it would leave one value for all others.

    Args:
        calibrated: A .tflite whose tensors carry the smallest and largest values seen.
        batches: The calibration data again, by input name.
        percentile: Share of the values that each bound covers. Defaults to 0.9999.
    """
    model = schema_py_generated.Model.GetRootAsModel(calibrated, 0)
    graph = model.Subgraphs(0)
    ends = {*graph.InputsAsNumpy().tolist(), *graph.OutputsAsNumpy().tolist()}
    bounds = {index: graph.Tensors(index).Quantization() for index in range(graph.TensorsLength())}
    inner = {i: q for i, q in bounds.items() if i not in ends and q is not None and q.MinLength() == 1}
    seen = _observe(bytes(calibrated), batches, {i: (q.Min(0), q.Max(0)) for i, q in inner.items()})
    masked = {
        i: (one.low, one.high) for i, one in seen.items() if inner[i].Min(0) < _MASK and one.low <= one.high
    }
    for index, one in seen.items():
        low, high = inner[index].MinAsNumpy(), inner[index].MaxAsNumpy()
        if low[0] >= _MASK:
            low[0], high[0] = _covering(one.histogram, float(low[0]), float(high[0]), percentile)
    if masked:
        lowest, highest = min(low for low, _ in masked.values()), max(high for _, high in masked.values())
        instead = min(lowest, 0.0) - max(highest, 0.0) - _NO_WEIGHT
        for index, (_, high) in masked.items():
            inner[index].MinAsNumpy()[0], inner[index].MaxAsNumpy()[0] = instead, max(high, 0.0)
        _replace_constants(model, instead)


class _Seen:
    """What an activation was over the calibration data.

    Attributes:
        histogram: Counts over its calibrated range.
        low: Smallest value that is no mask.
        high: Largest value.
    """

    def __init__(self) -> None:
        self.histogram = np.zeros(_BINS, np.int64)
        self.low, self.high = np.inf, -np.inf

    def add(self, values: NDArray[np.float32], limits: tuple[float, float]) -> None:
        if limits[0] < _MASK:
            finite = values[values > _MASK]
            if finite.size:
                self.low, self.high = min(self.low, finite.min()), max(self.high, finite.max())
        else:
            self.histogram += np.histogram(values, _BINS, limits)[0]


def _observe(
    content: bytes, batches: Iterable[Batch], limits: dict[int, tuple[float, float]]
) -> dict[int, _Seen]:
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    computed = {index: ends for index, ends in limits.items() if ends[1] > ends[0]}
    seen = {index: _Seen() for index in computed}
    rng = np.random.default_rng(0)
    for batch in batches:
        runner(**batch)
        for index, ends in computed.items():
            values = interpreter.get_tensor(index).ravel()
            if values.size > _VALUES_PER_SAMPLE:
                values = values[rng.integers(0, values.size, _VALUES_PER_SAMPLE)]
            seen[index].add(values, ends)
    return seen


def _replace_constants(model: Any, instead: float) -> None:
    graph = model.Subgraphs(0)
    for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
        buffer = model.Buffers(tensor.Buffer())
        if tensor.Type() == schema_py_generated.TensorType.FLOAT32 and buffer.DataLength():
            values = buffer.DataAsNumpy().view("<f4")
            values[values < _MASK] = instead


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
