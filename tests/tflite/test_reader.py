"""The reader agrees with LiteRT on whole files and gives one error on every broken one."""

import contextlib
import pickle
import struct

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.tflite.files import converted, tensor, written
from tfzip.errors import FileFormatError
from tfzip.tflite import read


def interpreter_of(path):
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(str(path), experimental_op_resolver_type=plain)


@pytest.mark.parametrize("name", ["float32", "int8", "int8_weights", "lstm", "island"])
def test_tensors_and_operations_are_those_that_litert_sees(name):
    graph, peer = read(converted(name)), interpreter_of(converted(name))
    for number, subgraph in enumerate(graph.subgraphs):
        for detail in peer.get_tensor_details(number):
            own = subgraph.tensors[detail["index"]]
            scales = detail["quantization_parameters"]
            assert own.name == detail["name"]
            assert own.shape == tuple(detail["shape"])
            assert own.dtype == np.dtype(detail["dtype"]).name
            assert own.scales == tuple(scales["scales"].tolist())
            assert own.zero_points == tuple(scales["zero_points"].tolist())
            assert len(own.scales) < 2 or own.quantized_axis == scales["quantized_dimension"]
    theirs = [(op["op_name"], tuple(op["inputs"])) for op in peer._get_ops_details()]
    assert [(op.name, op.inputs) for op in graph.main.operators] == theirs


@pytest.mark.parametrize("name", ["float32", "int8", "int8_weights", "lstm"])
def test_constants_are_those_that_litert_holds(name):
    graph, peer = read(converted(name)), interpreter_of(converted(name))
    peer.allocate_tensors()
    constants = [t for t in graph.main.tensors if t.is_constant]
    assert constants
    for constant in constants:
        np.testing.assert_array_equal(graph.constant(constant), peer.get_tensor(constant.index))


def test_the_signature_and_the_options_are_read():
    graph = read(converted("float32"))
    ((key, names),) = interpreter_of(converted("float32")).get_signature_list().items()
    (signature,) = graph.signatures
    assert (signature.key, list(signature.inputs), list(signature.outputs)) == (
        key,
        names["inputs"],
        names["outputs"],
    )
    stem = graph.main.operators[0]
    assert stem.name == "CONV_2D"
    assert stem.options["StrideW"] == stem.options["StrideH"] == 2
    assert stem.options["Padding"] == "SAME"
    assert stem.options["FusedActivationFunction"] == "RELU"


def test_a_graph_can_be_sent_to_another_process():
    graph = read(converted("int8"))
    assert pickle.loads(pickle.dumps(graph)) == graph


@pytest.mark.parametrize(
    ("kind", "shape", "data", "expected"),
    [
        ("INT4", (3,), [0x21, 0x0F], [1, 2, -1]),
        ("INT4", (4,), [0x78, 0x9A], [-8, 7, -6, -7]),
        ("UINT4", (2,), [0xF1], [1, 15]),
        ("INT2", (4,), [0b11_10_01_00], [0, 1, -2, -1]),
        ("BFLOAT16", (2,), [0x80, 0x3F, 0x00, 0xC0], [1.0, -2.0]),
        ("FLOAT16", (1,), [0x00, 0x3C], [1.0]),
        ("INT64", (1,), [0xFE, *[0xFF] * 7], [-2]),
        ("BOOL", (2,), [0, 1], [False, True]),
    ],
)
def test_every_number_format_is_decoded(tmp_path, kind, shape, data, expected):
    path = written(tmp_path / "f", [tensor(shape, kind, buffer=1), tensor(shape)], buffers=[data])
    graph = read(path)
    np.testing.assert_array_equal(graph.constant(graph.main.tensors[0]), expected)


def test_a_constant_that_does_not_fill_its_shape_is_an_error(tmp_path):
    path = written(tmp_path / "f", [tensor((3,), buffer=1), tensor((3,))], buffers=[[0] * 8])
    graph = read(path)
    with pytest.raises(FileFormatError, match="needs 12 bytes for its shape"):
        graph.constant(graph.main.tensors[0])
    with pytest.raises(FileFormatError, match="has no values"):
        graph.constant(graph.main.tensors[1])


@pytest.mark.parametrize("shape", [(-1,), (2**31 - 1, 2**31 - 1), (1,) * 65])
def test_an_impossible_shape_is_an_error(tmp_path, shape):
    with pytest.raises(FileFormatError, match="impossible shape"):
        read(written(tmp_path / "f", [tensor(shape), tensor((1,))]))


def test_an_index_out_of_range_is_an_error(tmp_path):
    two = [tensor((1,)), tensor((1,))]
    with pytest.raises(FileFormatError, match="tensor 7 of 2"):
        read(written(tmp_path / "f", two, inputs=(7,)))
    with pytest.raises(FileFormatError, match="buffer 5 of 1"):
        read(written(tmp_path / "f", [tensor((1,), buffer=5), tensor((1,))]))


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\x10\0\0\0PK\3\4" + bytes(64), bytes(4) + b"TFL3" + bytes(64)]
)
def test_what_is_no_tflite_is_one_line_of_error(tmp_path, content):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"model\.tflite") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(FileFormatError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(FileFormatError, match="directory"):
        read(tmp_path)


def reads_or_is_refused(path, content):
    path.write_bytes(content)
    with contextlib.suppress(FileFormatError):
        assert read(path).subgraphs


def test_a_file_cut_anywhere_is_read_or_refused(tmp_path):
    whole = converted("float32").read_bytes()
    for end in range(0, len(whole), 11):
        reads_or_is_refused(tmp_path / "f", whole[:end])


@pytest.mark.parametrize("value", [0x00, 0x7F, 0xFF])
def test_any_byte_may_be_anything(tmp_path, value):
    whole = converted("int8").read_bytes()
    for position in range(0, len(whole), 7):
        reads_or_is_refused(tmp_path / "f", whole[:position] + bytes([value]) + whole[position + 1 :])


def shared_tables(count):
    """A model with `count` times the same subgraph, which has `count` times the same tensor."""
    out = bytearray(struct.pack("<I4sHH5H2x", 24, b"TFL3", 14, 16, 4, 0, 8, 0, 12))
    out += struct.pack("<iIII", 16, 3, 8, 8 + 4 * count)  # the root: version, subgraphs, buffers
    subgraphs = len(out) + 4
    out += struct.pack("<I", count) + bytes(4 * count) + struct.pack("<II", 1, 0)
    out += struct.pack("<HHHHiII", 6, 8, 4, 0, 8, 4, count)
    subgraph, tensors = len(out) - 12, len(out)
    out += bytes(4 * count) + struct.pack("<HHi", 4, 4, 4)
    leaf = len(out) - 4
    for place in range(subgraphs, subgraphs + 4 * count, 4):
        struct.pack_into("<I", out, place, subgraph - place)
    for place in range(tensors, tensors + 4 * count, 4):
        struct.pack_into("<I", out, place, leaf - place)
    buffer = subgraphs + 4 * count + 4
    struct.pack_into("<I", out, buffer, leaf - buffer)
    return bytes(out)


def test_tables_shared_too_often_are_refused_before_they_are_built(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(shared_tables(3))
    assert [len(subgraph.tensors) for subgraph in read(path).subgraphs] == [3, 3, 3]
    path.write_bytes(shared_tables(100_000))
    with pytest.raises(FileFormatError, match="over and over"):
        read(path)
