"""Every shape of calibration data people have, and every way it can be wrong."""

import numpy as np
import pytest

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError
from tfzip.sources.batches import calibration_samples

IMAGE = TensorSpec("image", (-1, 4, 4, 3), "float32")
TOKENS = TensorSpec("tokens", (-1, 7), "int32")
X = np.arange(10 * 48, dtype="float32").reshape(10, 4, 4, 3)
T = np.arange(70, dtype="int32").reshape(10, 7)


def batched(array, size=3):
    return (array[i : i + size] for i in range(0, len(array), size))


@pytest.mark.parametrize(
    "data",
    [
        X,
        X.astype("float64"),
        {"image": X},
        batched(X),
        (x for x in X),
        ((batch, np.zeros(len(batch))) for batch in batched(X)),
        ({"image": batch} for batch in batched(X)),
    ],
    ids=["array", "float64", "dict", "generator", "single samples", "pairs", "dicts"],
)
def test_one_input_takes_data_in_any_shape(data):
    samples = calibration_samples(data, [IMAGE])
    np.testing.assert_array_equal(samples["image"], X)
    assert samples["image"].dtype == np.float32


def test_a_generator_function_and_a_dataset_are_read():
    import tensorflow as tf

    def stream():
        yield from batched(X)

    np.testing.assert_array_equal(calibration_samples(stream, [IMAGE])["image"], X)
    dataset = tf.data.Dataset.from_tensor_slices((X, np.zeros(10))).batch(4)
    np.testing.assert_array_equal(calibration_samples(dataset, [IMAGE])["image"], X)


@pytest.mark.parametrize("data", [(X, T), [X, T], {"image": X, "tokens": T}], ids=["tuple", "list", "dict"])
def test_several_inputs_are_matched_by_order_or_name(data):
    samples = calibration_samples(data, [IMAGE, TOKENS])
    np.testing.assert_array_equal(samples["tokens"], T)


def test_a_named_set_calibrates_with_its_training_split(tmp_path):
    file = tmp_path / "d.npz"
    np.savez(file, x_train=X, y_train=np.zeros(10, int), x_test=X[:2] + 1000, y_test=np.zeros(2, int))
    assert calibration_samples(file, [IMAGE])["image"].max() < 1000


def test_what_fit_takes_calibrates_a_model_with_two_inputs():
    import tensorflow as tf

    for structure in ((X, T), {"image": X, "tokens": T}):
        dataset = tf.data.Dataset.from_tensor_slices((structure, np.zeros(10))).batch(4)
        samples = calibration_samples(dataset, [IMAGE, TOKENS])
        np.testing.assert_array_equal(samples["tokens"], T)
        np.testing.assert_array_equal(samples["image"], X)


def test_a_list_may_hold_the_one_array_or_its_rows():
    for data in ([X], (X,), list(X)):
        np.testing.assert_array_equal(calibration_samples(data, [IMAGE])["image"], X)


def test_no_more_than_the_limit_is_taken_and_an_endless_stream_ends():
    def endless():
        while True:
            yield X

    assert len(calibration_samples(endless(), [IMAGE], limit=25)["image"]) == 25
    assert len(calibration_samples(X, [IMAGE], limit=4)["image"]) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 4, 4, 3), "float32"), "empty"),
        ((x for x in ()), "empty"),
        (np.zeros((5, 4, 4, 1), "float32"), r"\(samples, 4, 4, 3\). Received: \(5, 4, 4, 1\)"),
        (np.zeros((4, 4, 3), "float32"), "must have the shape"),
        (np.array(["a"] * 3), "must have the shape"),
        (np.full((2, 4, 4, 3), "a"), "must be of type float32"),
        (np.full((2, 4, 4, 3), np.nan, "float32"), "NaN or infinity"),
        (5, r"must have the shape \(samples, 4, 4, 3\)"),
        ([X[0], X[0, :2]], "rows differ in shape"),
        ({"picture": X}, r"name the inputs \['picture'\]; the model's are \['image'\]"),
    ],
)
def test_wrong_data_is_named(data, message):
    with pytest.raises(DataError, match=message):
        calibration_samples(data, [IMAGE])


def test_floats_for_an_integer_input_are_refused():
    with pytest.raises(DataError, match="must be of type int32"):
        calibration_samples(T.astype("float32"), [TOKENS])


def test_inputs_of_different_length_are_refused():
    with pytest.raises(DataError, match="same number of samples"):
        calibration_samples((X, T[:4]), [IMAGE, TOKENS])
