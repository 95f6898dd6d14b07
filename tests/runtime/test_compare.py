"""Model against file: differences counted by hand, scores, layouts of data, damaged files."""

import contextlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.runtime.conftest import branches, samples
from tests.runtime.files import convert
from tfzip.errors import DataError, FileFormatError, ModelError, TfzipError
from tfzip.graph import flatten
from tfzip.runtime import compare, open_session, reference, replay

COUNT = 20


def held_by_file(path, inputs):
    """Runs a file sample by sample, with quantization written out; returns raw outputs and their specs."""
    session, rows = open_session(path), []
    for i in range(COUNT):
        fed = {}
        for spec in session.inputs:
            inverse = np.float32(1) / np.float32(spec.scale)
            steps = [
                round(float(np.float32(x) * inverse)) + spec.zero_point for x in inputs[spec.name][i].ravel()
            ]
            limits = np.iinfo(spec.dtype)
            clipped = [min(max(q, limits.min), limits.max) for q in steps]
            fed[spec.name] = np.array(clipped, spec.dtype).reshape(1, *inputs[spec.name][i].shape)
        rows.append(session.run(fed))
    return {spec.name: (spec, np.concatenate([row[spec.name] for row in rows])) for spec in session.outputs}


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_integer_differences_are_those_of_a_naive_loop(model, files, scheme):
    inputs = samples(COUNT)
    report = tfzip.compare(model, files(scheme), inputs, batch_size=7)
    expected = model.predict_on_batch(inputs)
    for output in report.outputs:
        spec, held = held_by_file(files(scheme), inputs)[output.name]
        inverse, limits = np.float32(1) / np.float32(spec.scale), np.iinfo(spec.dtype)
        gaps = []
        for q, x in zip(held.ravel().tolist(), expected[output.name].ravel(), strict=True):
            wanted = min(max(round(float(x * inverse)) + spec.zero_point, limits.min), limits.max)
            gaps.append(abs(q - wanted))
        assert output.unit == "LSB"
        assert output.max_difference <= max(gaps) + 1  # the model's last bit depends on its batch
        assert output.mean_difference == pytest.approx(np.mean(gaps), abs=0.02 * max(1, np.mean(gaps)))
    assert report.scheme == scheme
    assert report.samples == COUNT


def test_float_files_are_counted_in_ulp_and_agree(model, files):
    report = tfzip.compare(model, files(), samples(COUNT))
    assert {output.unit for output in report.outputs} == {"ulp"}
    assert all(output.max_abs < 1e-5 and output.cosine > 0.999999 for output in report.outputs)
    assert report.agreement == 1.0
    assert [output.agreement for output in report.outputs if output.name == "value"] == [None]
    assert report.first_divergent_op is None


def test_a_file_of_any_batch_gives_the_same_answers(model, files):
    inputs = samples(COUNT)
    one, open_ = tfzip.compare(model, files(), inputs), tfzip.compare(model, files(batch=None), inputs)
    assert one.outputs[0].max_abs == pytest.approx(open_.outputs[0].max_abs, abs=1e-6)
    four = tfzip.compare(model, files("int8", 4), inputs, batch_size=6)
    assert four.samples == COUNT
    assert max(output.mean_difference for output in four.outputs) < 2.0


def test_targets_score_both_sides_and_say_that_they_do_not_differ(model, files):
    inputs, rng = samples(COUNT), np.random.default_rng(0)
    best = model.predict_on_batch(inputs)
    targets = {"probs": best["probs"].argmax(axis=-1), "value": best["value"] + rng.normal(size=(COUNT, 1))}
    report = tfzip.compare(model, files("int8"), inputs, targets)
    quality = {output.name: output.quality for output in report.outputs}
    assert quality["probs"].metric == "accuracy"
    assert quality["probs"].model == 1.0
    assert quality["probs"].verdict == "not distinguishable"
    assert quality["value"].metric == "mean absolute error"
    assert quality["value"].model == pytest.approx(np.abs(targets["value"] - best["value"]).mean(), rel=1e-4)


def test_a_dataset_is_the_same_as_its_arrays(model, files):
    inputs = samples(COUNT)
    targets = {"probs": np.arange(COUNT) % 5, "value": np.linspace(0.1, 1, COUNT)}
    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(8)
    assert tfzip.compare(model, files("int8"), dataset).outputs[0].quality == (
        tfzip.compare(model, files("int8"), inputs, targets, batch_size=8).outputs[0].quality
    )


def test_a_model_that_asks_for_integers_is_given_integers(tmp_path):
    inputs = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 4)(inputs))
    model = keras.Model({"tokens": inputs}, keras.layers.Dense(1, activation="sigmoid")(x))
    tokens = np.random.default_rng(0).integers(0, 20, (9, 6))
    convert(model, tmp_path / "tokens.tflite", "float32", 1, {})
    report = tfzip.compare(model, tmp_path / "tokens.tflite", tokens, np.arange(9) % 2)
    assert report.outputs[0].max_abs < 1e-6
    assert report.outputs[0].agreement == 1.0
    assert report.outputs[0].quality.metric == "accuracy"


def test_the_report_prints_and_is_json(model, files):
    report = tfzip.compare(model, files("int8"), samples(4), {"probs": np.arange(4)})
    text, facts = str(report), json.loads(report.to_json())
    assert "probs" in text
    assert "DEPTHWISE_CONV_2D" in text
    assert "No operation diverges" in text
    assert facts["outputs"][0]["unit"] == "LSB"
    assert facts["first_divergent_op"] is None
    assert len(facts["ops"]) == len(report.ops)


def test_wrong_targets_and_files_of_other_models_are_one_line_errors(model, files):
    with pytest.raises(DataError, match="20 samples"):
        tfzip.compare(model, files(), samples(COUNT), {"probs": np.arange(7)})
    with pytest.raises(DataError, match="no target 'prob'"):
        tfzip.compare(model, files(), samples(COUNT), {"prob": np.arange(COUNT)})
    inputs = keras.Input((8, 8, 3), name="image")
    other = keras.Model({"image": inputs}, keras.layers.Flatten()(inputs))
    with pytest.raises(DataError, match="Is it this model's file"):
        tfzip.compare(other, files(), samples(COUNT)["image"])


def test_weights_that_are_not_finite_are_named_before_anything_runs(files):
    broken = branches()
    kernel = broken.get_layer("head").kernel
    kernel.assign(np.where(np.arange(kernel.shape[1]) == 1, np.nan, kernel.numpy()))
    with pytest.raises(ModelError, match=r"weights of head/kernel are not finite: 12 of 60") as caught:
        tfzip.compare(broken, files(), samples(4))
    assert "\n" not in str(caught.value)


def test_a_model_that_computes_nan_has_nothing_to_compare_with(files):
    broken = branches()
    kernel = broken.get_layer("head").kernel
    kernel.assign(np.full(kernel.shape, 3e38))
    with pytest.raises(DataError, match="computes NaN or infinity at output 'probs'"):
        tfzip.compare(broken, files(), samples(4))


def test_outputs_whose_names_repeat_are_one_line(model, files, monkeypatch):
    monkeypatch.setattr(reference, "output_names", lambda *_: ["probs", "probs"])
    with pytest.raises(ModelError, match="2 outputs under the names probs, probs") as caught:
        tfzip.compare(model, files(), samples(2))
    assert "\n" not in str(caught.value)


def test_outputs_that_the_graph_does_not_have_are_one_line(model, files, monkeypatch):
    part = flatten(keras.Model(model.inputs, model.get_layer("head").output))
    monkeypatch.setattr(compare, "flatten", lambda _: part)
    with pytest.raises(ModelError, match="returns 2 outputs by name when called and has 1") as caught:
        tfzip.compare(model, files(), samples(2))
    assert "\n" not in str(caught.value)


def test_a_file_with_more_outputs_than_the_model_is_refused(files):
    whole = branches()
    part = keras.Model(whole.input, {"probs": whole.get_layer("head").output})
    with pytest.raises(DataError, match="outputs .* do not correspond to the model's"):
        tfzip.compare(part, files(), samples(2))


def test_one_tensor_returned_twice_is_compared_as_two_outputs(tmp_path):
    inputs = keras.Input((4,))
    output = keras.layers.Dense(3, name="head")(inputs)
    model = keras.Model(inputs, [output, output])
    tfzip.export(model, tmp_path / "twice.tflite")
    report = tfzip.compare(model, tmp_path / "twice.tflite", np.ones((2, 4), np.float32))
    assert [found.name for found in report.outputs] == ["head", "head_1"]


def test_mutated_files_give_a_report_or_an_error_of_ours(model, files, tmp_path):
    with pytest.raises(FileFormatError, match="no .tflite file"):
        tfzip.compare(model, tmp_path / "missing.tflite", samples(1))
    original, rng, path = files("int8").read_bytes(), np.random.default_rng(0), tmp_path / "mutated.tflite"
    for trial in range(12):
        data = bytearray(original)
        for place in rng.integers(0, len(data), 8):
            data[place] = rng.integers(256)
        path.write_bytes(data if trial % 3 else data[: rng.integers(8, len(data))])
        with contextlib.suppress(TfzipError):
            assert tfzip.compare(model, path, samples(1)).samples == 1


def test_a_file_that_takes_too_long_is_given_up(model, files, monkeypatch):
    monkeypatch.setattr(replay, "DEADLINE_S", 0.0)
    monkeypatch.setattr(replay, "DEADLINE_PER_SAMPLE_S", 0.0)
    with pytest.raises(FileFormatError, match="did not finish"):
        tfzip.compare(model, files(), samples(1))
