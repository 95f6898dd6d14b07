"""Multiply-accumulates, turns of loops and zeros, counted by hand or by a naive loop."""

import itertools

import numpy as np
import pytest

from tests.tflite.files import converted, tensor, written
from tfzip.tflite import read
from tfzip.tflite.file_graph import Operator, Subgraph, Tensor
from tfzip.tflite.loops import runs_of_subgraphs
from tfzip.tflite.macs import macs_of
from tfzip.tflite.sparsity import zero_fraction


def macs(name, inputs, output, **options):
    shapes = [*inputs, output]
    tensors = tuple(Tensor(i, "", shape, shape, "float32") for i, shape in enumerate(shapes))
    operator = Operator(0, name, tuple(range(len(inputs))), (len(inputs),), options)
    return macs_of(Subgraph("", tensors, (operator,), (), ()), operator)


def naive_convolution(height, width, channels, filters, kernel):
    """Counts the products of a valid convolution with stride 1, one by one."""
    rows, columns = height - kernel + 1, width - kernel + 1
    ranges = (rows, columns, filters, kernel, kernel, channels)
    return sum(1 for _ in itertools.product(*map(range, ranges)))


def test_a_convolution_counts_every_product():
    assert macs("CONV_2D", [(1, 6, 5, 3), (4, 3, 3, 3), (4,)], (1, 4, 3, 4)) == naive_convolution(
        6, 5, 3, 4, 3
    )


@pytest.mark.parametrize(
    ("name", "inputs", "output", "options", "expected"),
    [
        ("CONV_2D", [(1, 4, 4, 8), (6, 3, 3, 4)], (1, 4, 4, 6), {}, 16 * 6 * 9 * 4),  # two groups
        ("DEPTHWISE_CONV_2D", [(2, 4, 4, 3), (1, 3, 3, 6)], (2, 2, 2, 6), {}, 2 * 4 * 6 * 9),
        ("TRANSPOSE_CONV", [(4,), (5, 2, 2, 3), (1, 4, 4, 3)], (1, 8, 8, 5), {}, 16 * 3 * 5 * 4),
        ("FULLY_CONNECTED", [(2, 7), (3, 7), (3,)], (2, 3), {}, 42),
        ("BATCH_MATMUL", [(5, 2, 3), (5, 3, 4)], (5, 2, 4), {}, 5 * 2 * 3 * 4),
        ("BATCH_MATMUL", [(5, 2, 3), (5, 4, 3)], (5, 2, 4), {"AdjY": True}, 5 * 2 * 3 * 4),
        ("BATCH_MATMUL", [(5, 3, 2), (5, 3, 4)], (5, 2, 4), {"AdjX": True}, 5 * 2 * 3 * 4),
        ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5)], (1, 2, 2, 2, 5), {}, 8 * 5 * 27 * 2),
        ("ADD", [(1, 4), (1, 4)], (1, 4), {}, 0),
        ("CONV_2D", [], (1,), {}, 0),
    ],
)
def test_the_costs_of_operations_follow_from_their_shapes(name, inputs, output, options, expected):
    assert macs(name, inputs, output, **options) == expected


def test_a_fused_lstm_multiplies_eight_kernels_at_each_step():
    steps, given, units = 6, 3, 5
    kernels = [(units, given)] * 4 + [(units, units)] * 4
    operands = [(1, steps, given), *kernels, *[()] * 3, *[(units,)] * 4]
    products = steps * 4 * units * (given + units)
    assert macs("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, (1, steps, units)) == products


def test_the_body_of_a_loop_runs_as_often_as_the_sequence_is_long():
    graph = read(converted("lstm"))
    body = max(range(len(graph.subgraphs)), key=lambda number: len(graph.subgraphs[number].operators))
    assert runs_of_subgraphs(graph)[body] == 7
    total = sum(
        runs * macs_of(subgraph, op)
        for subgraph, runs in zip(graph.subgraphs, runs_of_subgraphs(graph), strict=True)
        for op in subgraph.operators
    )
    assert total == 7 * 4 * 4 * (3 + 4) + 4 * 2


def test_the_costs_of_a_whole_model_add_up():
    main = read(converted("int8")).main
    assert [macs_of(main, op) for op in main.operators] == [4 * 4 * 4 * 27, 4 * 4 * 4 * 9, 0, 64 * 5, 0]


def test_zeros_are_values_at_the_zero_point(tmp_path):
    values = np.array([0, 1.5, 0, -0.0], np.float32)
    graph = read(written(tmp_path / "f", [tensor((4,), buffer=1), tensor((4,))], buffers=[values.tobytes()]))
    assert zero_fraction(graph, graph.main.tensors[0]) == 0.75
    assert zero_fraction(graph, graph.main.tensors[1]) == 0.0
    packed = written(tmp_path / "g", [tensor((3,), "INT4", 1), tensor((3,))], buffers=[[0x10, 0x00]])
    assert zero_fraction(read(packed), read(packed).main.tensors[0]) == pytest.approx(2 / 3)
