"""Biases of integer operations whose scale is not what the kernels take it to be.

Kernels add the bias to sums of products, so its scale has to be the input's times the weights' (Jacob et al.
2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section
2.2). TensorFlow's 16x8 quantizer gives a bias that two operations share the scale of the first; the second
computes something else, without a word.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfzip.tflite.file_graph import FileGraph, Operator, Subgraph

_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_INPUT, _WEIGHTS, _BIAS = 0, 1, 2
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class WrongBias:
    """An operation whose bias is scaled for another one.

    Attributes:
        subgraph: Where it is.
        operator: The operation.
        factor: By how much its bias is too large (over 1) or too small, at the worst channel.
    """

    subgraph: Subgraph
    operator: Operator
    factor: float


def wrong_biases(graph: FileGraph) -> Iterator[WrongBias]:
    """Yields the integer operations whose bias is not zero and has a scale of its own."""
    for subgraph in graph.subgraphs:
        for operator in subgraph.operators:
            factor = _factor(graph, subgraph, operator)
            if abs(factor - 1.0) > _TOLERANCE:
                yield WrongBias(subgraph, operator, factor)


def _factor(graph: FileGraph, subgraph: Subgraph, operator: Operator) -> float:
    """Returns what the kernel makes of a bias over what was meant, at the worst channel; 1.0 when well."""
    if operator.name not in _WITH_BIAS or len(operator.inputs) <= _BIAS or operator.inputs[_BIAS] < 0:
        return 1.0
    given, weights, bias = (subgraph.tensors[operator.inputs[place]] for place in (_INPUT, _WEIGHTS, _BIAS))
    if not (
        given.scales and weights.scales and bias.scales and bias.is_constant
    ) or not bias.dtype.startswith("int"):
        return 1.0
    meant, taken = np.asarray(bias.scales), given.scales[0] * np.asarray(weights.scales)
    if not {meant.size, taken.size} <= {1, bias.num_elements}:
        return 1.0
    with np.errstate(all="ignore"):
        ratio = np.broadcast_to(taken / meant, (bias.num_elements,))
        used = ratio[graph.constant(bias).ravel() != 0]
        return float(used[np.argmax(np.abs(np.log(used)))]) if used.size else 1.0
