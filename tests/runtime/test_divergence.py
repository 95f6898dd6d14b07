"""A broken operation is named, and it alone."""

import keras
import numpy as np
import pytest

import tfzip
from tests.runtime.conftest import samples
from tests.runtime.files import convert, with_bytes
from tfzip.graph import flatten
from tfzip.runtime.divergence import _call
from tfzip.runtime.matching import nodes_between
from tfzip.tflite import read


def kernel_of(path, op_name, occurrence=0):
    """Returns the constant tensor with the most bytes that an operation of the file reads."""
    graph = read(path)
    subgraph = graph.subgraphs[0]
    found = [operator for operator in subgraph.operators if operator.name == op_name]
    tensors = [subgraph.tensors[i] for i in found[occurrence].inputs if i >= 0]
    return max((t for t in tensors if t.is_constant), key=lambda tensor: tensor.size_bytes)


def reversed_int8(data):
    return np.frombuffer(data, np.int8)[::-1].tobytes()


def reversed_float32(data):
    return np.frombuffer(data, np.float32)[::-1].tobytes()


@pytest.mark.parametrize(
    ("op", "occurrence", "layer"),
    [
        ("CONV_2D", 0, "stem"),
        ("DEPTHWISE_CONV_2D", 0, "depthwise"),
        ("CONV_2D", 1, "pointwise"),
        ("FULLY_CONNECTED", 1, "value"),
    ],
)
@pytest.mark.parametrize("scheme", ["float32", "int8", "int16x8"])
def test_reversing_one_kernel_names_its_operation_and_no_other(model, files, scheme, op, occurrence, layer):
    path = files(scheme)
    change = reversed_float32 if scheme == "float32" else reversed_int8
    report = tfzip.compare(model, with_bytes(path, kernel_of(path, op, occurrence), change), samples(4))
    first = report.first_divergent_op
    assert first is not None
    assert (first.op, first.layers[0]) == (op, layer)
    assert [found for found in report.ops if found.diverges] == [first]
    assert f"#{first.index} {op}, layer {layer}" in str(report)


@pytest.mark.parametrize("scheme", ["float32", "int8", "int16x8"])
def test_fused_layers_are_compared_after_the_last_of_them(model, files, scheme):
    report = tfzip.compare(model, files(scheme), samples(4))
    by_layer = {op.layers[0]: op for op in report.ops}
    assert by_layer["stem"].layers == ("stem", "stem_norm", "stem_relu")
    assert by_layer["depthwise"].layers == ("depthwise", "depthwise_norm", "depthwise_relu")
    assert report.first_divergent_op is None
    assert min(op.sqnr_db for op in report.ops) > (100 if scheme == "float32" else 25)


def test_the_error_of_an_operation_is_that_of_a_naive_run_on_the_files_own_values(model, files):
    report = tfzip.compare(model, files("int8"), samples(4))
    session, given = tfzip.open_session(files("int8"), keep_tensors=True), samples(4)
    tensors = session.tensors()

    def real(index):
        return (session.tensor(index).astype(np.float64) - tensors[index].zero_point) * tensors[index].scale

    op = next(op for op in session.ops() if op.name == "DEPTHWISE_CONV_2D")
    signal = noise = 0.0
    rest = keras.Sequential([model.get_layer(n) for n in ("depthwise", "depthwise_norm", "depthwise_relu")])
    for i in range(4):
        fed = {}
        for spec in session.inputs:
            grid = np.rint(given[spec.name][i : i + 1] * (np.float32(1) / np.float32(spec.scale)))
            fed[spec.name] = np.clip(grid + spec.zero_point, -128, 127).astype(np.int8)
        session.run(fed)
        expected = np.asarray(rest(real(op.inputs[0]).astype(np.float32))).astype(np.float64)
        signal += np.sum(expected**2)
        noise += np.sum((real(op.outputs[0]) - expected) ** 2)
    found = next(o for o in report.ops if o.op == "DEPTHWISE_CONV_2D")
    assert found.sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=0.01)
    assert found.rms_lsb == pytest.approx(
        np.sqrt(noise / (4 * 8 * 8 * 8)) / tensors[op.outputs[0]].scale, rel=1e-3
    )


def test_values_outside_the_calibrated_range_are_counted_as_saturated(model, files):
    loud = {name: 4 * array for name, array in samples(4).items()}
    report = tfzip.compare(model, files("int8"), loud)
    assert report.first_divergent_op.saturated > 0.001
    assert "calibrate on more samples" in str(report)


def test_a_model_whose_graph_cannot_be_read_still_has_its_outputs_compared(model, files, monkeypatch):
    from tfzip.errors import ModelError
    from tfzip.runtime import compare as module

    def refuse(model):
        raise ModelError("Model 'm' cannot be flattened.")

    monkeypatch.setattr(module, "flatten", refuse)
    report = tfzip.compare(model, files(), samples(2))
    assert report.ops == ()
    assert report.ops_total > 0
    assert "cannot be flattened" in str(report)


def test_a_nested_model_is_compared_layer_by_layer(tmp_path):
    inner_in = keras.Input((4,))
    inner = keras.Model(
        inner_in, keras.layers.Dense(6, activation="relu", name="inner")(inner_in), name="block"
    )
    inputs = keras.Input((4,), name="x")
    model = keras.Model({"x": inputs}, keras.layers.Dense(3, name="outer")(inner(inputs)))
    data = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    convert(model, tmp_path / "nested.tflite", "float32", 1, {})
    report = tfzip.compare(model, tmp_path / "nested.tflite", data)
    assert [op.layers for op in report.ops] == [("block/inner",), ("outer",)]


def test_nodes_between_stops_at_what_is_known(model):
    graph = flatten(model)
    ids = {node.path: node.outputs[0] for node in graph.nodes}
    nodes = nodes_between(graph, ids["pointwise"], {ids["stem_relu"]})
    assert tuple(node.path for node in nodes) == (
        "depthwise",
        "depthwise_norm",
        "depthwise_relu",
        "pointwise",
    )


@pytest.mark.parametrize(
    "augmentation", [keras.layers.RandomFlip(), keras.layers.RandomContrast(0.5)], ids=["flip", "contrast"]
)
def test_augmentation_layers_are_replayed_as_they_are_in_inference(tmp_path, augmentation):
    inputs = keras.Input((8, 8, 3), name="image")
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(augmentation(inputs)))
    tfzip.export(model, tmp_path / "augmented.tflite")
    report = tfzip.compare(model, tmp_path / "augmented.tflite", samples(4)["image"])
    assert [op.layers[-1] for op in report.ops] == ["conv"]
    assert report.ops[0].sqnr_db > 100
    assert report.first_divergent_op is None


def test_a_call_that_fixes_training_keeps_it():
    inputs, norm = keras.Input((4,)), keras.layers.BatchNormalization
    fixed = flatten(keras.Model(inputs, norm()(inputs, training=True))).nodes[0]
    free = flatten(keras.Model(inputs, norm()(inputs))).nodes[0]
    array = np.array([[1, 2, 3, 4], [3, 2, 1, 0]], np.float32)
    np.testing.assert_allclose(_call(fixed, {0: array})[0].mean(axis=0), np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(_call(free, {0: array})[0], array / np.sqrt(1.001), rtol=1e-5)


@pytest.mark.parametrize(("policy", "allowed"), [("mixed_float16", 50.0), ("mixed_bfloat16", 32.0)])
def test_a_model_that_rounds_to_16_bits_is_allowed_what_they_allow(tmp_path, policy, allowed):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", dtype=policy, name="coarse")(inputs)
    x = keras.layers.GlobalAveragePooling2D(dtype=policy, name="pool")(x)
    x = keras.layers.Dense(5, dtype="float32", name="reads_coarse")(x)
    model = keras.Model(inputs, keras.layers.Dense(5, dtype="float32", name="fine")(x))
    path = tmp_path / "mixed.tflite"
    tfzip.export(model, path)
    report = tfzip.compare(model, path, samples(4)["image"])
    assert report.first_divergent_op is None
    assert {op.layers[-1]: op.allowed_db for op in report.ops} == {
        "coarse": allowed,
        "pool": allowed,
        "reads_coarse": allowed,
        "fine": 80.0,
    }
    damaged = with_bytes(path, kernel_of(path, "CONV_2D"), reversed_float32)
    assert tfzip.compare(model, damaged, samples(4)["image"]).first_divergent_op.layers == ("coarse",)
