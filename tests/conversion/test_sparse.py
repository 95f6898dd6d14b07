"""Kernels stored sparse: smaller files that compute the same to the last bit."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import tfzip
from tfzip.tflite import read
from tfzip.tflite.sparse_layout import SparseLayout
from tfzip.tflite.unpacking import without_densify


def network(zeros):
    """Returns convolutions, a depthwise one and a dense layer, with a share of each kernel zero."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="wide"),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.Conv2D(64, 1, activation="relu", name="narrow"),
            layers.Flatten(),
            layers.Dense(16, name="head"),
        ]
    )
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            kernel = np.array(layer.kernel.numpy())
            kernel[np.abs(kernel) < np.quantile(np.abs(kernel), zeros)] = 0
            layer.kernel.assign(kernel)
    return model


def outputs(path, x):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for row in x:
        scale, zero = given["quantization"]
        values = row / scale + zero if scale else row
        interpreter.set_tensor(given["index"], values[None].astype(given["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"]))
    return np.concatenate(found)


@pytest.mark.parametrize("scheme", ["float32", "float16", "int8", "int8_weights"])
def test_a_sparse_file_computes_the_same_to_the_last_bit(scheme, tmp_path):
    model, x = network(0.85), np.random.default_rng(0).uniform(-1, 1, (20, 8, 8, 8)).astype("float32")
    dense = tfzip.export(model, tmp_path / "dense.tflite", scheme=scheme, calibration=x)
    sparse = tfzip.export(model, tmp_path / "sparse.tflite", scheme=scheme, calibration=x, sparse=True)
    np.testing.assert_array_equal(outputs(sparse.path, x), outputs(dense.path, x))
    if scheme == "float32":
        assert sparse.size_bytes < 0.45 * dense.size_bytes
    kept = {finding.layer: finding.cost for finding in sparse.findings if finding.kind == "left_dense"}
    stored = [tensor for tensor in read(sparse.path).main.tensors if tensor.is_sparse]
    assert len(stored) + len(kept) == 4
    assert sparse.size_bytes < dense.size_bytes or not stored
    assert all("zeros, stored dense" in cost for cost in kept.values())


def test_constants_are_read_with_their_zeros(tmp_path):
    model = network(0.85)
    graph = read(tfzip.export(model, tmp_path / "sparse.tflite", sparse=True).path)
    by_shape = {t.shape: graph.constant(t) for t in graph.main.tensors if t.is_sparse}
    kernel = model.get_layer("wide").kernel.numpy()
    np.testing.assert_array_equal(by_shape[32, 3, 3, 8], np.moveaxis(kernel, -1, 0))
    np.testing.assert_array_equal(by_shape[16, 4096], model.get_layer("head").kernel.numpy().T)
    assert "DENSIFY" not in [op.name for op in without_densify(graph).main.operators]
    macs = [tfzip.inspect(tfzip.export(model, tmp_path / "m.tflite", sparse=one).path).macs for one in (0, 1)]
    assert macs[0] == macs[1] > 0


def test_a_model_without_zeros_says_so(tmp_path):
    artifact = tfzip.export(network(0.3), tmp_path / "dense.tflite", sparse=True)
    (finding,) = artifact.findings
    assert finding.kind == "not_sparse"
    assert "PruningCallback(0.8)" in finding.cost


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.95, 1.0])
def test_a_layout_gives_back_what_it_was_made_of(axis, zeros):
    values = np.random.default_rng(1).normal(size=(3, 300, 5)).astype("float32")
    values[np.random.default_rng(2).random(values.shape) < zeros] = 0
    layout, stored = SparseLayout.of(values, axis)
    np.testing.assert_array_equal(layout.dense(stored, values.shape), values)
