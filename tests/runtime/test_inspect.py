"""Inspection tells what is in a file and what LiteRT makes of it, and survives both."""

import json
import shutil

import pytest
from click.testing import CliRunner

from tests.tflite.files import LAYERS, converted, tensor, written
from tfzip.cli.inspect import command
from tfzip.errors import FileFormatError
from tfzip.runtime.inspect import inspect
from tfzip.runtime.runtimes import probe
from tfzip.runtime.session import SessionOp
from tfzip.sandbox import Sandbox
from tfzip.tflite import write_metadata


@pytest.fixture(scope="module")
def child():
    with Sandbox(timeout_s=60) as sandbox:
        yield sandbox


@pytest.fixture
def signed(tmp_path):
    path = tmp_path / "model.tflite"
    shutil.copy(converted("int8"), path)
    write_metadata(path, {"scheme": "int8", "recipe": "none", "layers": json.dumps(LAYERS)})
    return path


def test_a_file_is_described_operation_by_operation(signed, child):
    report = inspect(signed, child=child)
    stem, depthwise, _, head, softmax = report.ops
    assert [op.layer for op in report.ops] == ["stem", "block/depthwise", "flatten", "head", "head"]
    assert (stem.op, stem.macs, stem.weights_bytes) == ("CONV_2D", 4 * 4 * 4 * 27, 4 * 27 + 4 * 4)
    assert (head.macs, head.weights_bytes) == (64 * 5, 64 * 5)
    assert report.macs == stem.macs + depthwise.macs + head.macs
    assert report.tensors[0][stem.outputs[0]].shape == (1, 4, 4, 4)
    assert report.tensors[0][softmax.outputs[0]].scale == 1 / 256
    assert report.tensors[0][softmax.outputs[0]].zero_point == -128
    assert report.scheme == "int8"
    assert report.metadata == {"scheme": "int8", "recipe": "none"}
    assert report.findings == ()
    assert report.size_bytes == signed.stat().st_size


def test_the_arena_is_the_most_that_lives_at_once(child):
    """LiteRT keeps inputs to the end (8x8x3 values); of the others (4x4x4 values each) two live at once."""
    assert inspect(converted("float32"), child=child).arena_bytes == 4 * (8 * 8 * 3 + 2 * 64)
    assert inspect(converted("int8"), child=child).arena_bytes == 8 * 8 * 3 + 2 * 64


def test_xnnpack_takes_convolutions_and_leaves_loops(child):
    assert {op.runs_on for op in inspect(converted("float32"), child=child).ops} == {"xnnpack"}
    report = inspect(converted("lstm"), child=child)
    places = {op.op: op.runs_on for op in report.ops if op.subgraph == 0}
    assert (places["FULLY_CONNECTED"], places["WHILE"]) == ("xnnpack", "builtin")
    assert {op.runs_on for op in report.ops if op.subgraph} == {""}
    assert report.xnnpack_macs_fraction == 4 * 2 / (4 * 2 + 7 * 4 * 4 * (3 + 4))


def test_a_partition_is_what_lies_between_a_delegates_inputs_and_outputs():
    """Tensors 0..4 in a chain of four operations, of which the middle two and a side branch are delegated."""
    chain = [SessionOp(i, "ABS", (i,), (i + 1,)) for i in range(4)]
    side = SessionOp(4, "NEG", (1,), (9,))
    delegates = [SessionOp(5, "DELEGATE", (1,), (3, 9))]
    assert probe.in_partitions([*chain, side, *delegates]) == (1, 2, 4)
    assert probe.in_partitions(chain) == ()


def test_a_file_that_the_runtime_refuses_still_gets_a_report(tmp_path, child):
    two = [tensor((4,)), tensor((4,))]
    path = written(tmp_path / "f.tflite", two, op="CUSTOM", custom_code="Nowhere")
    report = inspect(path, child=child)
    assert "Nowhere" in report.refusal
    assert (report.arena_bytes, report.xnnpack_macs_fraction) == (None, None)
    assert [(f.kind, f.op) for f in report.findings] == [("custom_op", "Nowhere")]


def test_a_runtime_that_crashes_is_a_refusal(monkeypatch, child):
    monkeypatch.setattr("tfzip.runtime.inspect._PROBE", "tests.runtime.crashing_probe")
    report = inspect(converted("float32"), child=child)
    assert "SIGSEGV" in report.refusal
    assert report.ops


def test_a_file_that_cannot_be_read_is_one_line_of_error(tmp_path, child):
    path = tmp_path / "f.tflite"
    path.write_bytes(converted("int8").read_bytes()[:500])
    with pytest.raises(FileFormatError, match="damaged") as caught:
        inspect(path, child=child)
    assert "\n" not in str(caught.value)


def test_numbers_that_json_lacks_become_null(tmp_path, child):
    weird = tensor((4,), "INT8")
    from ai_edge_litert.schema_py_generated import QuantizationParametersT

    weird.quantization = QuantizationParametersT()
    weird.quantization.scale, weird.quantization.zeroPoint = [float("nan")], [0]
    path = written(tmp_path / "f.tflite", [weird, tensor((4,), "INT8")])
    assert json.loads(inspect(path, child=child).to_json())["tensors"][0][0]["scale"] is None


def test_the_command_prints_a_table_that_fits(signed):
    done = CliRunner().invoke(command, [str(signed), "--tensors"], catch_exceptions=False)
    assert done.exit_code == 0
    tables = done.output.split("File ")[0].splitlines()
    assert max(map(len, tables)) <= 100
    assert "block/depthwise" in done.output
    assert "Scheme       int8" in done.output
    assert "100.00 % of MACs" in done.output


def test_the_command_prints_pure_json(signed):
    done = CliRunner().invoke(command, [str(signed), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["ops"][0]["op"] == "CONV_2D"


def test_a_terminal_does_not_obey_names_in_a_file(tmp_path):
    path = written(tmp_path / "f.tflite", [tensor((4,), name="\x1b[2J[red]x"), tensor((4,))])
    done = CliRunner().invoke(command, [str(path), "--tensors"], catch_exceptions=False)
    assert "\x1b" not in done.output
    assert "[2J[red]x" in done.output
