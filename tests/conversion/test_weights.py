"""Integers of weights are those of a naive loop, and LiteRT computes the same with 4 bits as with 8."""

import os

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers

import tfzip
from tfzip.conversion.converters.file_model import FileModel
from tfzip.conversion.converters.plans import Kernel, WeightPlans
from tfzip.conversion.converters.weights import packed, rewrite_weights
from tfzip.errors import OptionError
from tfzip.fingerprint import fingerprint
from tfzip.quantization_record import QuantizationRecord, attach_record
from tfzip.schemes import SCHEMES, get_scheme, mixed_scheme
from tfzip.tflite import read, read_metadata
from tfzip.tflite.layer_list import scheme_in

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (32, 9, 9, 3)).astype("float32")
RESOLVERS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def net():
    keras.utils.set_random_seed(3)
    x = keras.Input((9, 9, 3), name="image")
    y = layers.Conv2D(7, 3, padding="same", name="conv", bias_initializer="normal")(x)
    y = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(y))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise", bias_initializer="normal")(y)
    y = layers.Conv2DTranspose(6, 3, strides=2, name="up")(y)
    model = keras.Model(x, layers.Dense(5, name="head")(layers.GlobalAveragePooling2D(name="pool")(y)))
    model.get_layer("norm").set_weights([RNG.uniform(0.5, 2, 7) for _ in range(4)])
    return model


def nested():
    keras.utils.set_random_seed(4)
    block = keras.Sequential(
        [keras.Input((9, 9, 4)), layers.SeparableConv2D(4, 3, padding="same", name="sep"), layers.ReLU()],
        name="block",
    )
    x = keras.Input((9, 9, 3), name="image")
    y = layers.Conv2D(4, 1, name="stem")(x)
    y = layers.Add(name="sum")([y, block(y)])
    return keras.Model(x, layers.Dense(5, name="head")(layers.Flatten(name="flat")(block(y))))


@pytest.fixture(scope="module", params=[net, nested], ids=["net", "nested"])
def model(request):
    return request.param()


def outputs(artifact, images, resolver=OpResolverType.AUTO):
    """Runs a file on images one by one; integers are converted by hand."""
    runner = Interpreter(os.fspath(artifact), experimental_op_resolver_type=resolver).get_signature_runner()
    given, made = artifact.inputs[0], artifact.outputs[0]
    results = []
    for image in images:
        array = image[np.newaxis]
        if given.scale:
            limits = np.iinfo(given.dtype)
            array = np.clip(np.rint(array / given.scale) + given.zero_point, limits.min, limits.max)
        results.append(runner(**{given.name: array.astype(given.dtype)})[made.name][0])
    return np.array(results)


def real(artifact, integers):
    made = artifact.outputs[0]
    return (integers.astype("float32") - made.zero_point) * made.scale if made.scale else integers


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_scheme_ends_in_a_file_that_both_kinds_of_kernels_run(model, tmp_path, scheme):
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme=scheme, calibration=IMAGES)
    expected = model(IMAGES[:4]).numpy()
    coarse = 0.25 if SCHEMES[scheme].weights.bits == 4 else 0.06
    for resolver in RESOLVERS:
        found = real(artifact, outputs(artifact, IMAGES[:4], resolver))
        np.testing.assert_allclose(found, expected, atol=coarse * np.abs(expected).max())
    types = {t.dtype for t in read(artifact.path).main.tensors}
    assert ("int4" in types) == (SCHEMES[scheme].weights.bits == 4)
    assert ("uint8" in types) == (scheme == "uint8")


def test_what_has_no_kernel_of_4_bits_keeps_8_and_is_named(tmp_path):
    model = net()
    static = tfzip.export(model, tmp_path / "s.tflite", scheme="w4a8", calibration=IMAGES)
    assert [(f.kind, f.op, f.layer) for f in static.findings] == [("kept_wider", "TRANSPOSE_CONV", "up")]
    hybrid = tfzip.export(model, tmp_path / "h.tflite", scheme="int4_weights")
    assert [(f.op, f.layer) for f in hybrid.findings] == [
        ("DEPTHWISE_CONV_2D", "depthwise"),
        ("TRANSPOSE_CONV", "up"),
    ]


def test_mixed_widths_go_to_the_layers_that_were_named(tmp_path):
    scheme = mixed_scheme("int8", {"conv": 4, "head": 4})
    path = tfzip.export(net(), tmp_path / "m.tflite", scheme=scheme, calibration=IMAGES).path
    graph = read(path).main
    widths = {op.name: graph.tensors[op.inputs[1]].dtype for op in graph.operators}
    assert (widths["CONV_2D"], widths["FULLY_CONNECTED"]) == ("int4", "int4")
    assert (widths["DEPTHWISE_CONV_2D"], widths["TRANSPOSE_CONV"]) == ("int8", "int8")
    assert scheme_in(read_metadata(path)) == scheme
    assert tfzip.inspect(path).findings == ()


def test_a_mixed_scheme_for_another_model_is_refused(tmp_path):
    scheme = mixed_scheme("int8", {"cnov": 4})
    with pytest.raises(OptionError, match="'cnov', which the model does not have. Did you mean 'conv'"):
        tfzip.export(net(), tmp_path / "m.tflite", scheme=scheme, calibration=IMAGES)


def naive_integers(kernel, steps, top):
    """Rounds one weight after the other; output channels last."""
    integers = np.zeros(kernel.shape, int)
    for place in np.ndindex(kernel.shape):
        integers[place] = max(-top, min(top, round(float(kernel[place]) / float(steps[place[-1]]))))
    return integers


@pytest.mark.parametrize(("scheme", "top"), [("w4a8", 7), ("int8", 127), ("int4_weights", 7)])
def test_steps_of_the_model_are_those_of_the_file_and_integers_are_rounded_quotients(tmp_path, scheme, top):
    model = net()
    layer, norm = model.get_layer("conv"), model.get_layer("norm")
    gamma, _, _, variance = norm.get_weights()
    folded = layer.kernel.numpy() * (gamma / np.sqrt(variance + norm.epsilon))
    steps = (np.abs(folded).max(axis=(0, 1, 2)) / top * RNG.uniform(0.6, 0.9, 7)).astype("float32")
    attach_record(model, QuantizationRecord(get_scheme(scheme), weight_scales={"conv/kernel": steps}))
    graph = read(tfzip.export(model, tmp_path / "m.tflite", scheme=scheme, calibration=IMAGES).path)
    operator = next(op for op in graph.main.operators if op.name == "CONV_2D")
    weights = graph.main.tensors[operator.inputs[1]]
    np.testing.assert_array_equal(np.float32(weights.scales), steps)
    found = np.moveaxis(graph.constant(weights), 0, -1)
    assert (found != naive_integers(folded, steps, top)).mean() < 0.01  # ties of folded floats
    if scheme == "w4a8":
        bias = graph.main.tensors[operator.inputs[2]]
        given = graph.main.tensors[operator.inputs[0]]
        np.testing.assert_allclose(bias.scales, np.float32(given.scales[0]) * steps, rtol=1e-6)


def test_4_bits_compute_what_the_same_integers_compute_in_8(tmp_path):
    artifact = tfzip.export(net(), tmp_path / "m.tflite", scheme="w4a8", calibration=IMAGES)
    graph, model = read(artifact.path), FileModel(artifact.path.read_bytes())
    for tensor, about in zip(model.tree.subgraphs[0].tensors, graph.main.tensors, strict=True):
        if about.dtype == "int4":
            tensor.type = 9  # INT8
            model.set_values(tensor, graph.constant(about).astype(np.int8))
    wide = tmp_path / "wide.tflite"
    wide.write_bytes(model.to_bytes())
    for resolver in RESOLVERS:
        narrow = outputs(artifact, IMAGES[:8], resolver).astype(int)
        artifact_of_wide = type(artifact)(wide, "", 0, "", artifact.inputs, artifact.outputs)
        assert np.abs(narrow - outputs(artifact_of_wide, IMAGES[:8], resolver).astype(int)).max() <= 1


def test_low_halves_of_bytes_come_first():
    np.testing.assert_array_equal(packed(np.array([1, -1, -7], np.int8)), np.uint8([0xF1, 0x09]))


def test_unsigned_weights_use_all_levels_of_their_range(tmp_path):
    model = net()
    head = model.get_layer("head")
    head.kernel.assign(RNG.uniform(0.5, 1.0, head.kernel.shape))
    graph = read(tfzip.export(model, tmp_path / "m.tflite", scheme="uint8", calibration=IMAGES).path)
    operator = next(op for op in graph.main.operators if op.name == "FULLY_CONNECTED")
    weights = graph.main.tensors[operator.inputs[1]]
    assert weights.zero_points == (0,)
    assert weights.scales[0] == pytest.approx(head.kernel.numpy().max() / 255, rel=1e-5)


def test_a_file_is_stored_without_what_nobody_reads_and_without_repetition(tmp_path):
    path = tfzip.export(net(), tmp_path / "m.tflite", scheme="int8", calibration=IMAGES).path
    model = FileModel(path.read_bytes())
    model.tree.buffers.append(model.tree.buffers[-1])
    again = model.to_bytes()
    assert len(again) <= path.stat().st_size
    contents = [bytes(b.data) for b in FileModel(again).tree.buffers if b.data is not None]
    assert len(set(contents)) == len(contents)


def test_equal_kernels_are_told_apart_by_the_names_of_their_layers():
    values = RNG.normal(size=(3, 3)).astype("float32")
    kernels = [Kernel(path, fingerprint(values)) for path in ("first", "second")]
    scheme = mixed_scheme("int8", {"second": 4})
    plans = WeightPlans(scheme, kernels, ["first", "second", None])
    assert [plans.of(values, place).form.bits for place in (0, 1, 2)] == [8, 4, 8]


def test_rewriting_with_nothing_to_change_changes_nothing(tmp_path):
    path = tfzip.export(net(), tmp_path / "m.tflite", scheme="int8", calibration=IMAGES).path
    floats = tfzip.export(net(), tmp_path / "f.tflite").path
    model, source = FileModel(path.read_bytes()), FileModel(floats.read_bytes())
    before = model.to_bytes()
    rewrite_weights(model, source, WeightPlans(get_scheme("int8"), (), [None] * 99))
    assert model.to_bytes() == before
