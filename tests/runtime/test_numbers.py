"""The file's number grid, against hand-computed values and LiteRT's own QUANTIZE and DEQUANTIZE."""

import numpy as np
import pytest

from tests.runtime.files import identity_file
from tfzip.artifact import TensorSpec
from tfzip.errors import DataError, FileFormatError, OptionError
from tfzip.runtime import open_session
from tfzip.runtime.numbers import dequantize, lsb_distance, quantize, sqnr_db, ulp_distance

HALF = TensorSpec("x", (1, 4), "int8", scale=0.5, zero_point=3)


def test_values_land_on_the_hand_computed_grid():
    values = [0.0, 0.5, 0.74, -1.0, 100.0, -100.0]
    assert quantize(values, HALF).tolist() == [3, 4, 4, 1, 127, -128]


def test_ties_go_to_the_even_step():
    assert quantize([0.25, 0.75, 1.25, -0.25, -0.75], HALF).tolist() == [3, 5, 5, 3, 1]


def test_dequantizing_is_scale_times_distance_from_the_zero_point():
    assert dequantize(np.int8([3, 4, -128]), HALF).tolist() == [0.0, 0.5, -65.5]


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8"])
@pytest.mark.parametrize("delegates", [True, False])
def test_quantize_agrees_with_the_quantize_operation_bit_for_bit(tmp_path, dtype, delegates):
    path = identity_file(tmp_path / "identity.tflite", dtype)
    session = open_session(path, delegates=delegates)
    (given,), (held,) = session.inputs, session.outputs
    ties = (np.arange(-2048, 2048) * 7 % 300 - 150 + 0.5 - held.zero_point) * np.float64(held.scale)
    random = np.random.default_rng(0).uniform(-4, 6, 4096)
    beside = np.nextafter(ties.astype(np.float32), np.float32(0))
    for values in (ties, random, beside):
        values = values.astype(np.float32)[np.newaxis]
        done = session.run({given.name: values})[held.name]
        np.testing.assert_array_equal(quantize(values, held), done)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_dequantize_agrees_with_the_dequantize_operation_bit_for_bit(tmp_path, dtype):
    path = identity_file(tmp_path / "identity.tflite", dtype, float_output=True)
    watched, deployed = open_session(path, keep_tensors=True), open_session(path)
    values = {watched.inputs[0].name: np.random.default_rng(0).uniform(-4, 6, (1, 4096)).astype(np.float32)}
    watched.run(values)
    (done,) = deployed.run(values).values()
    last = watched.ops()[-1]
    assert last.name == "DEQUANTIZE"
    held, spec = watched.tensor(last.inputs[0]), watched.tensors()[last.inputs[0]]
    np.testing.assert_array_equal(dequantize(held, spec), done)


def test_whole_numbers_pass_where_the_tensor_has_no_scale():
    spec = TensorSpec("tokens", (1, 3), "int32")
    assert quantize([1.0, 2.0, -3.0], spec).tolist() == [1, 2, -3]
    with pytest.raises(DataError, match="whole numbers"):
        quantize([0.5], spec)
    with pytest.raises(DataError, match="from -128 to 127"):
        quantize([200], TensorSpec("x", (1,), "int8"))


def test_a_scale_that_is_no_positive_number_is_a_damaged_file():
    for scale in (-1.0, float("nan"), float("inf")):
        with pytest.raises(FileFormatError, match="damaged"):
            quantize([1.0], TensorSpec("x", (1,), "int8", scale=scale))


def test_lsb_distance_counts_steps_from_the_nearest_representation():
    held = np.int8([3, 6, -128])
    assert lsb_distance(held, [0.2, 0.5, -1000.0], HALF).tolist() == [0, 2, 0]


def test_ulp_distance_counts_the_floats_in_between():
    one = np.float32(1.0)
    after = np.nextafter(np.nextafter(one, np.float32(2)), np.float32(2))
    tiny = np.float32(1e-45)
    assert ulp_distance(np.float32([1, 0.0, 1.0]), np.float32([after, -0.0, 1.0])).tolist() == [2, 0, 0]
    assert ulp_distance(np.float32([tiny]), np.float32([-tiny])).tolist() == [2]
    assert ulp_distance(np.float16([1.0]), np.float16([1.0 + 2**-10])).tolist() == [1]


def test_nan_is_infinitely_far_from_every_number_but_not_from_nan():
    nan = np.float32("nan")
    assert ulp_distance(np.float32([nan, nan, 1]), np.float32([1, nan, nan])).tolist() == [np.inf, 0, np.inf]


def test_ulp_distance_refuses_mixed_types():
    with pytest.raises(OptionError, match="float32"):
        ulp_distance(np.float32([1]), np.float16([1]))


def test_sqnr_of_a_hundredth_of_the_energy_is_twenty_decibels():
    assert sqnr_db(100.0, 1.0) == pytest.approx(20.0)
    assert sqnr_db(1.0, 0.0) == np.inf
    assert sqnr_db(1.0, np.inf) == -np.inf
