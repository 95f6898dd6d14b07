"""A file computes what its model computes, keeps its names, and a failure leaves nothing behind."""

import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import tfzip
from tfzip.conversion import export as export_module
from tfzip.errors import ConversionError, ModelError, OptionError, UnknownNameError
from tfzip.tflite import read, read_metadata

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (64, 12, 12, 3)).astype("float32")


def run(path, **inputs):
    """Runs a file by the vendor's interpreter alone, quantizing and dequantizing by hand."""
    runner = Interpreter(os.fspath(path)).get_signature_runner()
    details = runner.get_input_details()
    arrays = {}
    for name, array in inputs.items():
        scale, zero = details[name]["quantization"]
        dtype = details[name]["dtype"]
        limits = np.iinfo(dtype) if scale else None
        arrays[name] = (
            np.clip(np.round(array / scale) + zero, limits.min, limits.max).astype(dtype) if scale else array
        )
    outputs = {}
    for name, array in runner(**arrays).items():
        scale, zero = runner.get_output_details()[name]["quantization"]
        outputs[name] = (array.astype("float32") - zero) * scale if scale else array
    return outputs


@pytest.fixture(scope="module")
def convnet():
    keras.utils.set_random_seed(1)
    x = keras.Input((12, 12, 3), name="image")
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(x)
    y = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn")(y))
    y = layers.Add(name="add")([y, layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)])
    y = layers.Dense(5, name="head")(layers.GlobalAveragePooling2D(name="pool")(y))
    model = keras.Model(x, layers.Softmax(name="scores")(y))
    model.get_layer("bn").set_weights([RNG.uniform(0.5, 2, 8) for _ in range(4)])
    return model


@pytest.mark.parametrize(
    ("scheme", "tolerance"),
    [("float32", 1e-6), ("float16", 2e-3), ("int8_weights", 2e-2), ("int8", 4e-2), ("int16x8", 2e-2)],
)
def test_every_scheme_computes_what_the_model_computes(convnet, tmp_path, scheme, tolerance):
    artifact = tfzip.export(convnet, tmp_path / "m.tflite", scheme=scheme, calibration=IMAGES)
    expected = convnet(IMAGES[:1]).numpy()
    np.testing.assert_allclose(run(artifact, image=IMAGES[:1])["scores"], expected, atol=tolerance)
    assert artifact.size_bytes == artifact.path.stat().st_size
    assert artifact.findings == ()


def test_full_integer_means_integer_at_every_operation_with_a_scale_for_each_channel(convnet, tmp_path):
    path = tfzip.export(convnet, tmp_path / "m.tflite", scheme="int8", calibration=IMAGES).path
    graph = read(path).main
    assert {t.dtype for op in graph.operators for t in graph.tensors_of(op.outputs)} == {"int8"}
    conv = next(op for op in graph.operators if op.name == "CONV_2D")
    kernel = graph.tensors[conv.inputs[1]]
    assert (kernel.dtype, len(kernel.scales)) == ("int8", 8)


def test_float_inputs_and_outputs_can_be_kept(convnet, tmp_path):
    artifact = tfzip.export(convnet, tmp_path / "m.tflite", scheme="int8", calibration=IMAGES, io="float32")
    assert (artifact.inputs[0].dtype, artifact.outputs[0].dtype) == ("float32", "float32")
    whole = tfzip.export(convnet, tmp_path / "w.tflite", scheme="int8", calibration=IMAGES)
    assert (whole.inputs[0].dtype, whole.outputs[0].scale) == ("int8", 1 / 256)


def test_the_batch_is_fixed_and_no_shape_is_computed_at_run_time(convnet, tmp_path):
    artifact = tfzip.export(convnet, tmp_path / "m.tflite", batch=4)
    assert artifact.inputs[0].shape == (4, 12, 12, 3)
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & {op.name for op in read(artifact.path).main.operators}
    np.testing.assert_allclose(
        run(artifact, image=IMAGES[:4])["scores"], convnet(IMAGES[:4]).numpy(), atol=1e-6
    )


def test_dictionaries_and_several_outputs_keep_their_names(tmp_path):
    query, key = keras.Input((4,), name="query"), keras.Input((6,), name="key")
    joined = layers.Concatenate()([query, key])
    outputs = {"rank": layers.Dense(1)(joined), "topic": layers.Dense(3)(joined)}
    model = keras.Model({"query": query, "key": key}, outputs)
    artifact = tfzip.export(model, tmp_path / "m.tflite")
    data = {
        "query": RNG.normal(size=(1, 4)).astype("float32"),
        "key": RNG.normal(size=(1, 6)).astype("float32"),
    }
    found, expected = run(artifact, **data), model(data)
    assert set(found) == {"rank", "topic"}
    for name in found:
        np.testing.assert_allclose(found[name], expected[name].numpy(), atol=1e-6)


@pytest.mark.parametrize("scheme", ["float32", "int8"])
@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_recurrent_layers_become_builtin_operations(tmp_path, kind, scheme):
    x = keras.Input((6, 3), name="steps")
    model = keras.Model(x, layers.Dense(2, name="out")(kind(4, name="loop")(x)))
    steps = RNG.uniform(-1, 1, (64, 6, 3)).astype("float32")
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme=scheme, calibration=steps)
    graph = read(artifact.path)
    assert not any(op.is_custom for sub in graph.subgraphs for op in sub.operators)
    np.testing.assert_allclose(run(artifact, steps=steps[:1])["out"], model(steps[:1]).numpy(), atol=5e-2)


def test_a_mixed_precision_model_is_converted_as_float32(tmp_path):
    x = keras.Input((8,), name="x")
    policy = "mixed_float16"
    model = keras.Model(
        x, layers.Dense(3, dtype=policy, name="out")(layers.Dense(16, "relu", dtype=policy)(x))
    )
    artifact = tfzip.export(model, tmp_path / "m.tflite")
    data = RNG.normal(size=(1, 8)).astype("float32")
    np.testing.assert_allclose(run(artifact, x=data)["out"], model(data).numpy(), atol=5e-3)
    assert artifact.outputs[0].dtype == "float32"
    assert model.layers[1].dtype_policy.name == policy


class Residual(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(width, "relu", name="inner")

    def call(self, x):
        return x + self.inner(x)


class Tower(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [Residual(8, name=f"block{i}") for i in range(2)]
        self.head = keras.Sequential([layers.Dense(2)])

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_subclassed_and_nested_models_are_exported_as_they_are(tmp_path):
    model, data = Tower(), RNG.normal(size=(1, 8)).astype("float32")
    expected = model(data).numpy()
    artifact = tfzip.export(model, tmp_path / "m.tflite")
    (found,) = run(artifact, **{artifact.inputs[0].name: data}).values()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_file_says_where_it_comes_from(convnet, tmp_path):
    path = tfzip.export(convnet, tmp_path / "m.tflite", recipe="mine").path
    metadata = read_metadata(path)
    assert metadata["tfzip_version"] == tfzip.__version__
    assert (metadata["scheme"], metadata["recipe"]) == ("float32", "mine")
    assert len(metadata["source_sha256"]) == 64


class Bessel(layers.Layer):
    def call(self, x):
        import tensorflow as tf

        return tf.math.bessel_i0(x)


def foreign_model():
    x = keras.Input((4,), name="x")
    return keras.Model(x, layers.Dense(2)(Bessel(name="bessel")(layers.Dense(3)(x))))


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_a_bias_that_two_operations_share_has_a_scale_for_each(tmp_path, scheme):
    keras.utils.set_random_seed(0)
    near, far = keras.Input((8,), name="near"), keras.Input((8,), name="far")
    shared = layers.Dense(4, name="shared", bias_initializer="normal")
    model = keras.Model([near, far], layers.Add(name="sum")([shared(near), shared(far)]))
    data = (RNG.normal(size=(64, 8)).astype("float32"), 10 * RNG.normal(size=(64, 8)).astype("float32"))
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme=scheme, calibration=data)
    found = run(artifact, near=data[0][:1], far=data[1][:1])["sum"]
    expected = model([array[:1] for array in data]).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_outputs_in_a_dictionary_out_of_order_are_not_mixed_up(tmp_path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, {"zeta": layers.Dense(2)(x), "alpha": layers.Dense(3)(x)})
    data = RNG.normal(size=(1, 4)).astype("float32")
    found, expected = run(tfzip.export(model, tmp_path / "m.tflite"), x=data), model(data)
    for name in ("zeta", "alpha"):
        np.testing.assert_allclose(found[name], expected[name].numpy(), atol=1e-6)


def test_outputs_whose_names_repeat_are_all_kept(tmp_path):
    x = keras.Input((3, 2), name="x")
    first = layers.GRU(2, return_state=True, name="gru")(x)
    second = layers.GRU(3, return_state=True, name="gru_1")(x)
    artifact = tfzip.export(keras.Model(x, [*first, *second]), tmp_path / "m.tflite")
    assert len({spec.name for spec in artifact.outputs}) == 4


def test_a_sequential_model_names_its_output_by_its_last_layer(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="scores")])
    assert tfzip.export(model, tmp_path / "m.tflite").outputs[0].name == "scores"


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16"])
def test_every_half_precision_policy_is_converted_as_float32(tmp_path, policy):
    x = keras.Input((8,), name="x")
    model = keras.Model(x, layers.Dense(3, dtype=policy, name="out")(x))
    artifact = tfzip.export(model, tmp_path / "m.tflite")
    data = RNG.normal(size=(1, 8)).astype("float32")
    expected = keras.ops.convert_to_numpy(keras.ops.cast(model(data), "float32"))
    np.testing.assert_allclose(run(artifact, x=data)["out"], expected, atol=5e-2)


def refuse(job):
    raise ConversionError(
        "kernel.cc:1 only FLOAT32, got 7. Node number 0 (FULLY_CONNECTED) failed to prepare."
    )


def test_a_file_that_a_kernel_refuses_is_not_written(convnet, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_CONVERTER", "tests.conversion.test_export:refuse")
    with pytest.raises(ConversionError, match="The converter failed: .*FULLY_CONNECTED"):
        tfzip.export(convnet, tmp_path / "m.tflite")
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_kernel_of_16_bits_stays_in_float_and_is_listed(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 16), name="x")
    y = layers.LayerNormalization(name="norm")(layers.Dense(16, "hard_silu", name="bent")(x))
    model = keras.Model(x, layers.Dense(3, name="out")(y))
    data = RNG.normal(size=(16, 8, 16)).astype("float32")
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme="int16x8", calibration=data)
    assert {(f.kind, f.layer) for f in artifact.findings} == {
        ("float_island", "norm"),
        ("float_island", "bent"),
    }
    np.testing.assert_allclose(run(artifact, x=data[:1])["out"], model(data[:1]).numpy(), atol=3e-2)


@pytest.mark.parametrize("causal", [True, False])
def test_masked_attention_keeps_its_scores_in_int8_and_no_file_loses_them(tmp_path, causal):
    keras.utils.set_random_seed(0)
    x, given = keras.Input((6, 8), name="x"), keras.Input((1, 6), name="given")
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    y = attention(x, x, use_causal_mask=True) if causal else attention(x, x, attention_mask=given)
    model = keras.Model([x] if causal else [x, given], layers.Dense(3, name="out")(y))
    data = {"x": 2 * RNG.normal(size=(64, 6, 8)).astype("float32")}
    if not causal:
        data["given"] = (RNG.uniform(size=(64, 1, 6)) > 0.3).astype("float32")
        data["given"][..., 0] = 1
    calibration = list(data.values()) if len(data) > 1 else data["x"]
    one = {name: array[:1] for name, array in data.items()}
    expected = model(list(one.values())).numpy().ravel()
    for scheme in ("int8", "int16x8"):
        artifact = tfzip.export(model, tmp_path / "m.tflite", scheme=scheme, calibration=calibration)
        found = run(artifact, **one)["out"].ravel()
        assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.995


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_integer_inputs_stay_as_they_are(tmp_path, scheme):
    x = keras.Input((6,), dtype="int32", name="tokens")
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(layers.Embedding(9, 4)(x))))
    data = RNG.integers(0, 9, (32, 6)).astype("int32")
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme=scheme, calibration=data)
    assert artifact.inputs[0].dtype == "int32"
    expected = model(data[:1]).numpy()
    np.testing.assert_allclose(run(artifact, tokens=data[:1])["out"], expected, atol=2e-3)


def test_an_input_name_that_no_signature_takes_is_named(tmp_path):
    x = keras.Input((4,), name="my input")
    with pytest.raises(ConversionError, match="input name 'my input' cannot stand in a signature"):
        tfzip.export(keras.Model(x, layers.Dense(1)(x)), tmp_path / "m.tflite")


def crash(job):
    os.kill(os.getpid(), signal.SIGSEGV)


def half_write(job):
    Path(job.output).write_bytes(b"half")
    raise ConversionError("error: stopped half way")


def existing(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"precious")
    return path


def test_an_operation_without_a_kernel_names_its_layer(tmp_path):
    with pytest.raises(ConversionError, match="BesselI0 in layer 'bessel'"):
        tfzip.export(foreign_model(), existing(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]
    assert (tmp_path / "m.tflite").read_bytes() == b"precious"


def test_an_operation_between_layers_is_not_called_a_layer(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.ops.argmax(layers.Dense(3)(x), axis=-1))
    with pytest.raises(ConversionError, match="BitwiseAnd in an operation between layers. Write"):
        tfzip.export(model, tmp_path / "m.tflite")


@pytest.mark.parametrize(
    ("fault", "message"), [("crash", "crashed.*SIGSEGV"), ("half_write", "stopped half way")]
)
def test_a_failing_converter_leaves_the_old_file_and_nothing_else(
    convnet, tmp_path, monkeypatch, fault, message
):
    monkeypatch.setattr(export_module, "_CONVERTER", f"tests.conversion.test_export:{fault}")
    with pytest.raises(ConversionError, match=message):
        tfzip.export(convnet, existing(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]
    assert (tmp_path / "m.tflite").read_bytes() == b"precious"


def test_weights_that_are_not_finite_are_named(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, name="broken")(x))
    model.get_layer("broken").kernel.assign(np.full((4, 2), np.nan, "float32"))
    with pytest.raises(ModelError, match="broken/kernel are not finite"):
        tfzip.export(model, tmp_path / "m.tflite")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scheme": "in8"}, UnknownNameError, "Did you mean 'int8'"),
        ({"scheme": "int8"}, OptionError, "needs calibration data"),
        ({"batch": 0}, OptionError, "at least 1. Received: 0"),
        ({"io": "int16"}, OptionError, "must be float32 for scheme 'float32'"),
    ],
)
def test_wrong_options_are_refused_at_the_door(convnet, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        tfzip.export(convnet, tmp_path / "m.tflite", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_refused_before_the_work(convnet, tmp_path):
    with pytest.raises(OptionError, match="does not exist. Make it first: mkdir -p"):
        tfzip.export(convnet, tmp_path / "missing" / "m.tflite")
    with pytest.raises(OptionError, match="is a folder. Name a file"):
        tfzip.export(convnet, tmp_path)


def test_what_a_file_is_made_from_is_never_overwritten(convnet, tmp_path):
    model, data = tmp_path / "m.keras", tmp_path / "d.npz"
    convnet.save(model)
    np.savez(data, x=IMAGES)
    before = model.read_bytes(), data.read_bytes()
    with pytest.raises(OptionError, match="is what the file is made from"):
        export_module.export_spec(str(model), str(model))
    with pytest.raises(OptionError, match="is what the file is made from"):
        tfzip.export(convnet, data, scheme="int8", calibration=str(data))
    assert (model.read_bytes(), data.read_bytes()) == before


def test_a_link_is_followed_and_a_pipe_is_refused(convnet, tmp_path):
    link, pipe = tmp_path / "link.tflite", tmp_path / "pipe"
    link.symlink_to(tmp_path / "real.tflite")
    os.mkfifo(pipe)
    tfzip.export(convnet, link)
    assert link.is_symlink()
    assert (tmp_path / "real.tflite").stat().st_size > 1000
    with pytest.raises(OptionError, match="is no regular file"):
        tfzip.export(convnet, pipe)


def test_strict_names_what_would_stay_outside_the_scheme(tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.ops.sin(keras.layers.Dense(4, name="head")(inputs)))
    data = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    path = tmp_path / "model.tflite"
    artifact = tfzip.export(model, path, scheme="int8", calibration=data)
    assert [finding.kind for finding in artifact.findings] == ["float_island"]
    before = path.read_bytes()
    with pytest.raises(
        ConversionError, match=r"Not everything follows scheme 'int8': SIN .*leave out strict"
    ):
        tfzip.export(model, path, scheme="int8", calibration=data, strict=True)
    assert path.read_bytes() == before
    assert tfzip.export(model, tmp_path / "float.tflite", strict=True).findings == ()


@pytest.mark.parametrize(
    "layer",
    [keras.layers.GRU(3, name="units"), keras.layers.Bidirectional(keras.layers.LSTM(3), name="units")],
)
def test_recurrent_layers_are_refused_in_16_bits(layer, tmp_path):
    model = keras.Sequential([keras.Input((5, 2)), layer])
    with pytest.raises(OptionError, match=r"recurrent layers, such as 'units'\. Use scheme 'int8'"):
        tfzip.export(
            model, tmp_path / "model.tflite", scheme="int16x8", calibration=np.zeros((4, 5, 2), np.float32)
        )
