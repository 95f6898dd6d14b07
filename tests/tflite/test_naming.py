"""Layers are found behind the names that the converter leaves in a file."""

import pytest

from tests.tflite.files import LAYERS, converted
from tfzip.tflite import layer_of, read
from tfzip.tflite.naming import layer_of_operator


@pytest.mark.parametrize(
    ("name", "paths", "expected"),
    [
        ("net_1/conv_1/convolution", ["conv"], "conv"),
        ("net/conv/convolution", ["conv"], "conv"),
        ("net_1/conv_3/Relu", ["conv"], "conv"),
        ("net_1/conv2d_1/Relu", ["conv2d", "conv2d_1"], "conv2d"),
        ("net_1/conv2d_1_2/Relu", ["conv2d", "conv2d_1"], "conv2d_1"),
        ("net_1/conv2d_1/Relu", ["conv2d_1", "dense"], "conv2d_1"),
        ("net_1/inner_1/conv_1/convolution", ["conv", "inner/conv"], "inner/conv"),
        ("net_1/conv_1/convolution", ["conv", "inner/conv"], "conv"),
        ("net_1/inner_1/add", ["inner/conv", "add"], "inner"),
        ("net_1/memory_1/while/cell_1/MatMul", ["memory"], "memory"),
        ("net_1/relu_1/Relu;net_1/conv_1/convolution1", ["conv", "relu"], "conv"),
        ("net_1/relu_1/Relu;net_1/conv_1/convolution1", ["relu", "conv"], "conv"),
        ("net_1/relu_1/Relu;net_1/add_1/Add", ["add", "relu"], "add"),
        ("StatefulPartitionedCall:0", ["conv"], None),
        ("net_1/other_1/Relu", ["conv"], None),
        ("", ["conv"], None),
        ("net_1/conv_1/convolution", [], None),
    ],
)
def test_a_name_leads_to_its_layer(name, paths, expected):
    assert layer_of(name, paths) == expected


def layers_by_operation(name, paths):
    graph = read(converted(name))
    return [
        (op.name, layer_of_operator(graph, graph.main, op, layer_paths=paths)) for op in graph.main.operators
    ]


@pytest.mark.parametrize("name", ["float32", "int8", "int8_weights"])
def test_every_operation_of_a_converted_model_finds_its_layer(name):
    assert layers_by_operation(name, LAYERS) == [
        ("CONV_2D", "stem"),
        ("DEPTHWISE_CONV_2D", "block/depthwise"),
        ("RESHAPE", "flatten"),
        ("FULLY_CONNECTED", "head"),
        ("SOFTMAX", "head"),
    ]


def test_the_loop_of_a_recurrent_layer_finds_it_inside_and_out():
    graph = read(converted("lstm"))
    inside = {
        layer_of_operator(graph, subgraph, op, layer_paths=["memory", "head"])
        for subgraph in graph.subgraphs[1:]
        for op in subgraph.operators
    }
    assert inside == {"memory"}
    assert ("WHILE", "memory") in layers_by_operation("lstm", ["memory", "head"])
    assert layers_by_operation("lstm", ["memory", "head"])[-1] == ("FULLY_CONNECTED", "head")


def test_an_output_without_a_name_is_known_by_its_name_in_the_signature():
    (name,) = read(converted("float32")).signatures[0].outputs
    layers = layers_by_operation("float32", (*LAYERS, name))
    assert layers[-1] == ("SOFTMAX", name)
