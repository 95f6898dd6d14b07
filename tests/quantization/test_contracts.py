"""The simulation stores the tensors that the file stores: same values on the same input, none left over.

The float file of each case is the oracle: LiteRT's float kernels run it, and its tensors are compared by
value with what the contracts emit. What differs is listed here with its reason.
"""

import keras
import numpy as np
import pytest

import tfzip
from tests.quantization.cases import CASES, build, samples
from tfzip.conversion import export as export_module
from tfzip.conversion import inner
from tfzip.conversion.converters import ConversionJob
from tfzip.conversion.knowledge import recorded_of
from tfzip.conversion.trace import fixed_inputs, trace
from tfzip.graph import walk
from tfzip.quantization.contracts import contract_of, is_complete, whole
from tfzip.quantization.fingerprints import probe
from tfzip.quantization.observers import observers
from tfzip.quantization.quantizer import Quantizer
from tfzip.quantization_record import QuantizationRecord
from tfzip.runtime.simulation_parity import parity
from tfzip.sandbox import Sandbox
from tfzip.schemes import get_scheme

INSIDE = {
    **dict.fromkeys(
        ("lstm", "gru", "simple_rnn", "bidirectional", "masking"), "the steps of a recurrent layer"
    ),
    "time_distributed": "one operation for each step; their results are stored together",
    "locally_connected2d": "a user's layer that owns a variable cannot be looked into",
    "einsum_dense": "the bias of the layer before moves into the bias of this one",
}
"""Cases whose file has tensors that no contract emits: they get their ranges when training ends."""

FOLDED = {
    "einsum_dense": {"stem"},  # as above: what is stored has no bias
    "hard_sigmoid": {"stem"},  # the sum with 3 moves into the bias of the convolution
    "rescaling": {"layer/scaled", "layer"},  # folded into the convolution that follows
}
"""What a contract emits and the converter folds away."""

PLAIN = {
    *(
        "conv1d",
        "conv2d",
        "cropping2d",
        "cropping3d",
        "depthwise_conv1d",
        "depthwise_conv2d",
        "gaussian_noise",
    ),
    *("alpha_dropout", "conv1d_transpose", "conv2d_transpose", "max_pooling1d", "separable_conv1d"),
    *("separable_conv2d", "up_sampling1d", "up_sampling2d", "up_sampling3d", "zero_padding2d"),
    *("zero_padding3d", "repeat_vector", "maximum", "minimum", "dense", "dropout", "reshape", "padding1d"),
    *("resizing", "nested_model", "subclassed", "operations", "global_pooling2d"),
}
"""Cases of one folded or same-scale operation, which other tests run as well."""


@pytest.fixture(scope="module")
def child():
    with Sandbox() as warm:
        yield warm


def marked(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in PLAIN else []) for name in names]


def test_there_are_sixty_nine_cases():
    assert len(CASES) == 69
    assert set(INSIDE) | set(FOLDED) | PLAIN <= CASES.keys()


@pytest.mark.parametrize("name", marked(CASES))
def test_every_tensor_of_the_file_is_emitted_and_every_emitted_tensor_is_in_the_file(name, child, tmp_path):
    model, scheme = build(name, keras), get_scheme("int8")
    inputs = samples(model)
    quantizer = Quantizer(model, scheme)
    quantizer.calibrate([inputs if len(inputs) > 1 else inputs[0]], observers.get("min_max"))
    traced = trace(model, tmp_path / "saved_model", fixed_inputs(model, 1), scheme)
    job = ConversionJob(
        str(traced.folder),
        str(tmp_path / "m.tflite"),
        scheme,
        "int8",
        1,
        recorded=recorded_of(model, quantizer.record()),
        layers=tuple(item.path for item in walk(model)),
    )
    unknown, absent = child.call("tests.quantization.matching:compared", job)
    assert set(absent) == FOLDED.get(name, set())
    assert bool(unknown) == (name in INSIDE), unknown
    assert bool(quantizer.simulation.whole) == (name in INSIDE)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "layer_normalization",
            "group_normalization",
            "unit_normalization",
            "softplus",
            "mish",
            "selu",
            "elu",
        ),
        *("multi_head_attention", "attention", "dot", "average", "subtract"),
    ],
)
def test_operations_of_the_file_are_within_one_step_of_their_contract(name, child, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "run_isolated", child.call)
    model = build(name, keras)
    (data,) = samples(model)
    simulated = tfzip.quantize(model, "int8", calibration=data, observer="min_max")
    artifact = tfzip.export(simulated.float_model, tmp_path / "m.tflite")
    report = parity(simulated, artifact, data[:8])
    assert not report.unmatched
    assert max(op.max_lsb for op in report.ops) < 1.01
    assert report.max_lsb <= 1
    assert not [finding for finding in artifact.findings if finding.kind == "float_island"]


@pytest.mark.parametrize("layer", [keras.layers.LayerNormalization, keras.layers.RMSNormalization])
def test_a_normalization_is_not_folded_into_the_dense_layer_behind_it(layer, child, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "run_isolated", child.call)
    x = keras.Input((8, 6), name="x")
    y = layer(name="norm")(keras.layers.Dense(6, name="stem")(x))
    model = keras.Model(x, keras.layers.Dense(3, name="head")(y))
    rng = np.random.default_rng(4)
    for variable in model.get_layer("norm").weights:
        variable.assign(rng.uniform(0.3, 1.5, variable.shape))
    data = rng.normal(size=(32, 8, 6)).astype("float32")
    simulated = tfzip.quantize(model, "int8", calibration=data, observer="min_max")
    artifact = tfzip.export(simulated.float_model, tmp_path / "m.tflite")
    report = parity(simulated, artifact, data[:8])
    assert not report.unmatched
    assert max(op.max_lsb for op in report.ops) < 1.01


def recurrent():
    x = keras.Input((6, 4), name="x")
    y = keras.layers.Bidirectional(keras.layers.LSTM(5), name="rnn")(x)
    return keras.Model(x, keras.layers.Dense(3, name="head")(y))


def test_matrices_inside_recurrent_layers_are_rounded_and_learn():
    keras.utils.set_random_seed(1)
    model = recurrent()
    (x,) = samples(model)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    quantizer = Quantizer(model, get_scheme("w4a8"))
    quantizer.calibrate([x], observers.get("min_max"))
    exact, rounded = model(x), quantizer(x, training=True)
    differences = abs(keras.ops.convert_to_numpy(exact - rounded))
    assert differences.max() > 1e-3
    before = [variable.numpy() for variable in model.get_layer("rnn").trainable_variables]
    model.fit(x, x[:, 0, :3], verbose=0, callbacks=[tfzip.QuantizationCallback("w4a8", calibration=x)])
    after = [variable.numpy() for variable in model.get_layer("rnn").trainable_variables]
    assert all((one != other).any() for one, other in zip(before, after, strict=True))


def test_a_recurrent_model_is_exported_without_data(child, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "run_isolated", child.call)
    monkeypatch.setattr(inner, "run_isolated", child.call)
    model = recurrent()
    (x,) = samples(model)
    model.compile("sgd", "mse")
    model.fit(x, x[:, 0, :3], verbose=0, callbacks=[tfzip.QuantizationCallback("int8", calibration=x)])
    artifact = tfzip.export(model, tmp_path / "m.tflite")
    assert not artifact.findings


class NeuronLayer(keras.layers.Dense):
    """Another author's layer with the name of none of Keras' own."""


def test_layers_of_other_authors_and_masked_attention_have_no_contract():
    x = keras.Input((6, 4))
    y = NeuronLayer(4)(x)
    y = keras.layers.MultiHeadAttention(2, 2)(y, y, use_causal_mask=True)
    graph = tfzip.flatten(keras.Model(x, y), batch=1)
    assert [contract_of(node) is whole for node in graph.nodes] == [True, True]
    assert not any(is_complete(node) for node in graph.nodes)


def test_images_to_recognise_tensors_on_are_smooth_and_fill_their_range():
    model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(2, 3)])
    key = "input:0"
    inputs, _ = probe(model, QuantizationRecord(get_scheme("int8"), {key: (-2.0, 6.0)}))
    (image,) = inputs.values()
    assert image.shape == (1, 64, 64, 3)
    assert -2.0 <= image.min() < -1.0
    assert 5.0 < image.max() <= 6.0
    assert np.abs(np.diff(image, axis=1)).max() < 1.0
