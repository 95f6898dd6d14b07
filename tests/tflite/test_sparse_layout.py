"""The sparse encoding, against arrays worked out by hand, TensorFlow's converter and LiteRT's DENSIFY."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.tflite.files import converted
from tfzip.conversion.converters.file_model import FileModel
from tfzip.errors import FileFormatError
from tfzip.runtime.inspect import inspect
from tfzip.tflite import read
from tfzip.tflite.sparse_layout import Axis, SparseLayout
from tfzip.tflite.sparsity import zero_fraction

MATRIX = np.array([[0, 5, 0, 7], [0, 0, 0, 0], [0, 0, 6, 0]], np.float32)


def indices(*numbers, dtype=np.uint8):
    return np.array(numbers, dtype)


ROWS = SparseLayout((0, 1), (), (Axis(3), Axis(0, indices(0, 2, 2, 3), indices(1, 3, 2))))


def test_rows_are_encoded_as_worked_out_by_hand():
    layout, stored = SparseLayout.of(MATRIX, 1)
    assert stored.tolist() == [5, 7, 6]
    assert (layout.order, layout.axes[0].size) == ((0, 1), 3)
    np.testing.assert_array_equal(layout.axes[1].segments, [0, 2, 2, 3])
    np.testing.assert_array_equal(layout.axes[1].indices, [1, 3, 2])
    assert layout.size_bytes == 4 + 3


def test_columns_are_encoded_as_worked_out_by_hand():
    layout, stored = SparseLayout.of(MATRIX, 0)
    assert (layout.order, stored.tolist()) == ((1, 0), [5, 6, 7])
    np.testing.assert_array_equal(layout.axes[1].segments, [0, 0, 1, 2, 3])
    np.testing.assert_array_equal(layout.axes[1].indices, [0, 2, 0])


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_decoding_gives_back_what_was_encoded(axis):
    rng = np.random.default_rng(axis)
    values = rng.integers(-9, 9, (5, 3, 2, 300)) * (rng.random((5, 3, 2, 300)) < 0.1)
    layout, stored = SparseLayout.of(values.astype(np.int8), axis)
    np.testing.assert_array_equal(layout.dense(stored, values.shape), values)


def test_blocks_are_decoded_as_worked_out_by_hand():
    """Two blocks of 2x2 in a 4x4 matrix: one at the top right, one at the bottom left."""
    axes = (Axis(2), Axis(0, indices(0, 1, 2), indices(1, 0)), Axis(2), Axis(2))
    dense = SparseLayout((0, 1, 2, 3), (0, 1), axes).dense(np.arange(1, 9), (4, 4))
    np.testing.assert_array_equal(dense, [[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 0, 0], [7, 8, 0, 0]])


def test_a_constant_of_zeros_alone_still_stores_a_value():
    layout, stored = SparseLayout.of(np.zeros((2, 3), np.int8), 1)
    assert stored.tolist() == [0]
    assert not layout.dense(stored, (2, 3)).any()


@pytest.mark.parametrize(
    ("layout", "count", "message"),
    [
        (replace(ROWS, order=(0, 0)), 3, "traversal"),
        (replace(ROWS, order=(0, -1)), 3, "traversal"),
        (replace(ROWS, order=(0, 1, 2)), 3, "traversal"),
        (replace(ROWS, axes=ROWS.axes[:1]), 3, "traversal"),
        (replace(ROWS, block_map=(7,)), 3, "traversal"),
        (replace(ROWS, axes=(Axis(4), ROWS.axes[1])), 3, "visits 4 of 3"),
        (replace(ROWS, axes=(Axis(-3), ROWS.axes[1])), 3, "visits -3 of 3"),
        (
            replace(ROWS, axes=(Axis(3), Axis(0, indices(0, 2, 2, 3), indices(1, 4, 2)))),
            3,
            "outside its axis",
        ),
        (
            replace(ROWS, axes=(Axis(3), Axis(0, indices(0, 2, 2, 3), indices(1, -1, 2, dtype=np.int32)))),
            3,
            "outside its axis",
        ),
        (replace(ROWS, axes=(Axis(3), Axis(0, indices(0, 2, 1, 3), indices(1, 3, 2)))), 3, "segments"),
        (replace(ROWS, axes=(Axis(3), Axis(0, indices(1, 2, 2, 3), indices(1, 3, 2)))), 3, "segments"),
        (replace(ROWS, axes=(Axis(3), Axis(0, indices(0, 2, 2, 9), indices(1, 3, 2)))), 3, "segments"),
        (replace(ROWS, axes=(Axis(3), Axis(0, indices(0), indices()))), 0, "visits 3 of 3"),
        (ROWS, 2, "2 values for 3 places"),
        (SparseLayout((0, 1, 2), (0,), (Axis(1), Axis(4), Axis(2))), 8, "do not divide"),
        (SparseLayout((0, 1, 2), (0,), (Axis(1), Axis(4), Axis(0))), 8, "do not divide"),
    ],
)
def test_what_contradicts_itself_is_one_clear_error(layout, count, message):
    with pytest.raises(FileFormatError, match=re.escape(message)):
        layout.dense(np.ones(count, np.float32), MATRIX.shape)


def test_a_small_file_cannot_ask_for_more_memory_than_a_dense_one_could():
    axes = (Axis(1 << 20), Axis(0, indices(0), indices()))
    with pytest.raises(FileFormatError, match="larger than a file"):
        SparseLayout((0, 1), (), axes).dense(np.zeros(0, np.int8), (1 << 20, 1 << 20))


def test_visits_that_no_vector_has_room_for_are_not_made():
    layout = SparseLayout((0, 1), (), (Axis(1 << 30), Axis(0, indices(0, 1), indices(0))))
    with pytest.raises(FileFormatError, match="visits"):
        layout.dense(np.zeros(1, np.int8), (1 << 30, 1))


@pytest.fixture(scope="module")
def by_tensorflow(tmp_path_factory):
    """A file with a random and a blocked kernel in TensorFlow's own sparse encoding."""
    rng = np.random.default_rng(0)
    first = (rng.standard_normal((64, 96)) * (rng.random((64, 96)) < 0.1)).astype(np.float32)
    blocks = np.repeat(rng.random((24, 48)) < 0.1, 4, axis=0)
    second = (rng.standard_normal((96, 48)) * blocks).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 64), tf.float32)])
    def run(x):
        return tf.nn.relu(x @ first) @ second

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    path = tmp_path_factory.mktemp("sparse") / "tensorflow.tflite"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())
    return path, {(96, 64): first.T, (48, 96): second.T}


def test_the_encoding_of_tensorflow_is_read(by_tensorflow):
    path, kernels = by_tensorflow
    graph = read(path)
    sparse = [tensor for tensor in graph.main.tensors if tensor.is_sparse]
    assert len(sparse) == 2
    for tensor in sparse:
        np.testing.assert_array_equal(graph.constant(tensor), kernels[tensor.shape])
        assert zero_fraction(graph, tensor) == pytest.approx(np.mean(kernels[tensor.shape] == 0), abs=1e-9)


def test_decoding_agrees_with_densify(by_tensorflow):
    path, _ = by_tensorflow
    graph = read(path)
    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    for operator in graph.main.operators:
        if operator.name == "DENSIFY":
            made = interpreter.get_tensor(operator.outputs[0])
            np.testing.assert_array_equal(graph.constant(graph.main.tensors[operator.inputs[0]]), made)


def damaged(path, target, damage):
    """Writes a copy of a file in which the tables of sparse encodings are damaged."""
    model = FileModel(path.read_bytes())
    for tensor in model.tree.subgraphs[0].tensors:
        if tensor.sparsity is not None:
            damage(tensor)
    target.write_bytes(model.to_bytes())
    return target


def far_index(tensor):
    axis = next(
        axis for axis in tensor.sparsity.dimMetadata if axis.format == schema.DimensionType.SPARSE_CSR
    )
    axis.arrayIndices.values = np.full_like(axis.arrayIndices.values, 200)


def no_vectors(tensor):
    for axis in tensor.sparsity.dimMetadata:
        axis.arrayIndices = axis.arraySegments = None


def huge_shape(tensor):
    tensor.shape = np.array([1 << 20, 1 << 20], np.int32)


@pytest.mark.parametrize("damage", [far_index, no_vectors, huge_shape])
def test_a_hostile_encoding_is_refused_by_name(by_tensorflow, tmp_path, damage):
    graph = read(damaged(by_tensorflow[0], tmp_path / "bad.tflite", damage))
    tensor = next(tensor for tensor in graph.main.tensors if tensor.is_sparse)
    with pytest.raises(FileFormatError, match="cannot be unpacked"):
        graph.constant(tensor)


def test_inspecting_an_encoding_without_vectors_is_one_error(by_tensorflow, tmp_path):
    path = damaged(by_tensorflow[0], tmp_path / "bad.tflite", no_vectors)
    with pytest.raises(FileFormatError, match=r"bad\.tflite"):
        inspect(path)


def test_inspecting_an_encoding_of_a_huge_shape_ends_in_a_refusal(by_tensorflow, tmp_path):
    assert inspect(damaged(by_tensorflow[0], tmp_path / "bad.tflite", huge_shape)).refusal


def test_a_dense_file_has_no_sparse_constants():
    graph = read(converted("float32"))
    assert not any(tensor.is_sparse for tensor in graph.main.tensors)
