"""The audit lists what did not follow the scheme, with the layer and the cost."""

import pytest

from tests.tflite.files import LAYERS, converted
from tfzip.errors import UnknownNameError
from tfzip.tflite import audit, read


@pytest.mark.parametrize(
    ("name", "scheme"), [("float32", "float32"), ("int8", "int8"), ("lstm", "float32"), ("int8", "float32")]
)
def test_a_file_that_follows_its_scheme_has_no_findings(name, scheme):
    assert audit(read(converted(name)), scheme, LAYERS) == ()


def test_a_float_island_is_named_with_its_layer_and_what_it_costs():
    (finding,) = audit(read(converted("island")), "int8", ["before", "wave", "after"])
    assert (finding.kind, finding.layer, finding.op) == ("float_island", "wave", "FLOOR, SIN")
    moved = 4 * (6 * 6 * 4 * 4)  # in and out of two operations, 6x6 places of 4 channels of 4 bytes
    assert finding.cost == (
        f"2 operations in float, 0 MACs, {moved / 1000:g} kB moved, 2 QUANTIZE/DEQUANTIZE added"
    )


def test_float_layers_in_an_integer_scheme_are_islands_one_for_each_layer():
    findings = audit(read(converted("float32")), "int8", LAYERS)
    assert [(f.layer, f.op) for f in findings] == [
        ("stem", "CONV_2D"),
        ("block/depthwise", "DEPTHWISE_CONV_2D"),
        ("flatten", "RESHAPE"),
        ("head", "FULLY_CONNECTED, SOFTMAX"),
    ]
    assert "1.728 k MACs" in findings[0].cost


def test_a_recurrent_layer_is_one_island_with_the_body_of_its_loop():
    memory, head = audit(read(converted("lstm")), "int16x8", ["memory", "head"])
    assert (memory.layer, head.layer) == ("memory", "head")
    assert f"{7 * 4 * 4 * (3 + 4)} MACs" in memory.cost


def test_flex_operations_are_named_with_their_layer():
    (finding,) = audit(read(converted("flex")), "float32", ["before", "error_function", "after"])
    assert (finding.kind, finding.op, finding.layer) == ("flex_op", "FlexErf", "error_function")


def test_weights_left_in_float_are_listed_and_biases_are_not():
    findings = audit(read(converted("int8_weights")), "int8_weights", LAYERS)
    assert [(f.kind, f.layer, f.op) for f in findings] == [("unquantized_weight", "head", "FULLY_CONNECTED")]
    assert findings[0].cost == "1.28 kB in float32, 960 B more than in 8 bits"


def test_without_layers_a_finding_names_the_tensor():
    (finding,) = audit(read(converted("flex")), "float32")
    assert "error_function" in finding.layer


def test_an_unknown_scheme_is_an_error():
    with pytest.raises(UnknownNameError, match="Did you mean 'int8'"):
        audit(read(converted("int8")), "in8")
