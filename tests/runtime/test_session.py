"""One interface over every interpreter, in the file's own numbers."""

import numpy as np
import pytest

from tests.runtime.conftest import samples
from tfzip.errors import DataError, FileFormatError, MissingDependencyError, OptionError, UnknownNameError
from tfzip.runtime import open_session
from tfzip.runtime.numbers import quantize
from tfzip.runtime.runtimes import PREFERENCE, LitertRuntime, runtimes


def test_inputs_and_outputs_have_the_models_names(files):
    session = open_session(files())
    assert {spec.name: spec.shape for spec in session.inputs} == {"image": (1, 8, 8, 3), "side": (1, 4)}
    assert {spec.name: spec.shape for spec in session.outputs} == {"probs": (1, 5), "value": (1, 1)}


@pytest.mark.parametrize("scheme", ["int8", "int16x8"])
def test_integer_files_take_and_give_their_own_integers(files, model, scheme):
    session, given = open_session(files(scheme)), samples(1)
    outputs = session.run({spec.name: quantize(given[spec.name], spec) for spec in session.inputs})
    expected = model.predict_on_batch(given)
    for spec in session.outputs:
        assert outputs[spec.name].dtype == spec.dtype == {"int8": "int8", "int16x8": "int16"}[scheme]
        real = spec.scale * (outputs[spec.name].astype(float) - spec.zero_point)
        np.testing.assert_allclose(real, expected[spec.name], atol=0.05)


def test_one_feed_serves_many_invocations(files):
    session, given = open_session(files()), samples(1)
    session.feed(given)
    session.invoke()
    first = session.read()
    session.invoke()
    np.testing.assert_array_equal(session.read()["probs"], first["probs"])


def test_a_file_with_an_open_batch_is_resized_to_what_it_is_fed(files, model):
    session = open_session(files(batch=None))
    assert {spec.shape[0] for spec in session.inputs} == {-1}
    for count in (3, 1, 5):
        done = session.run(samples(count))["probs"]
        np.testing.assert_allclose(done, model.predict_on_batch(samples(count))["probs"], atol=1e-5)


def test_wrong_names_shapes_and_types_are_explained(files):
    session, given = open_session(files()), samples(1)
    with pytest.raises(DataError, match="no input 'imag'. Did you mean 'image'"):
        session.feed({"imag": given["image"], "side": given["side"]})
    with pytest.raises(DataError, match="needs an array for side"):
        session.feed({"image": given["image"]})
    with pytest.raises(DataError, match=r"float32 of shape \(1, 4\). Received: float64 of shape \(1, 4\)"):
        session.feed({"image": given["image"], "side": given["side"].astype(float)})
    with pytest.raises(DataError, match=r"Received: float32 of shape \(2, 8, 8, 3\)"):
        session.feed(samples(2))


def test_intermediate_values_are_kept_on_request_only(files):
    session, given = open_session(files(), keep_tensors=True), samples(1)
    session.run(given)
    stem = next(op for op in session.ops() if op.name == "CONV_2D")
    assert session.tensor(stem.outputs[0]).shape == (1, 8, 8, 8)
    assert session.tensors()[stem.outputs[0]].shape == (1, 8, 8, 8)
    with pytest.raises(OptionError, match="keep_tensors=True"):
        open_session(files()).tensor(0)


def test_operations_are_listed_in_order_of_execution(files):
    session = open_session(files(), keep_tensors=True)
    written = {index for spec in session.input_indices.values() for index in [spec]}
    constants = set(session.tensors()) - {i for op in session.ops() for i in op.outputs} - written
    for op in session.ops():
        assert {i for i in op.inputs if i >= 0} <= written | constants
        written |= set(op.outputs)


def test_every_installed_runtime_computes_the_same(files):
    given = samples(1)
    results = [
        open_session(files(), runtime=runtime).run(given)["probs"]
        for runtime in PREFERENCE
        if runtime.version() is not None
    ]
    assert len(results) >= 2
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-5)


def test_the_first_installed_runtime_is_chosen(files, monkeypatch):
    assert runtimes.name_of(open_session(files()).runtime) == "litert"
    monkeypatch.setattr(LitertRuntime, "version", lambda self: None)
    assert runtimes.name_of(open_session(files()).runtime) == "tf_lite"


def test_a_runtime_that_is_not_there_says_how_to_get_it(files, monkeypatch):
    with pytest.raises(UnknownNameError, match="Did you mean 'litert'"):
        open_session(files(), runtime="litret")
    for runtime in PREFERENCE:
        monkeypatch.setattr(type(runtime), "version", lambda self: None)
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        open_session(files())
    if not pytest.importorskip("importlib.util").find_spec("tflite_runtime"):
        with pytest.raises(MissingDependencyError, match="pip install tflite-runtime"):
            open_session(files(), runtime="tflite_runtime")


def test_missing_and_damaged_files_are_one_line_errors(files, tmp_path):
    with pytest.raises(FileFormatError, match="no .tflite file"):
        open_session(tmp_path / "missing.tflite")
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(files().read_bytes()[:2000])
    with pytest.raises(FileFormatError, match="cannot be opened by litert") as caught:
        open_session(damaged)
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="threads"):
        open_session(files(), threads=0)
