"""Whatever shape people have their data in, it becomes named batches."""

import numpy as np
import pytest
import tensorflow as tf

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError
from tfzip.runtime.reference import match_names
from tfzip.runtime.samples import read_batches

ONE = (TensorSpec("x", (-1, 2), "float32"),)
TWO = (TensorSpec("a", (-1, 2), "float32"), TensorSpec("b", (-1, -1), "int32"))
A, B = np.arange(10, dtype=np.float32).reshape(5, 2), np.arange(15).reshape(5, 3)


def lengths(inputs, specs=TWO, batch_size=2):
    return [
        {name: len(array) for name, array in batch.items()}
        for batch, _ in read_batches(inputs, specs, batch_size)
    ]


def test_arrays_are_cut_into_batches_with_a_rest():
    batches = [batch["x"] for batch, _ in read_batches(A, ONE, 2)]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(batches), A)


@pytest.mark.parametrize("inputs", [{"a": A, "b": B}, (A, B), [A, B]])
def test_several_inputs_come_by_name_or_in_order(inputs):
    assert lengths(inputs) == [{"a": 2, "b": 2}, {"a": 2, "b": 2}, {"a": 1, "b": 1}]


def test_a_dataset_keeps_its_batches_and_brings_its_targets():
    dataset = tf.data.Dataset.from_tensor_slices(({"a": A, "b": B}, np.arange(5))).batch(3)
    batches = list(read_batches(dataset, TWO, 2))
    assert [len(batch["a"]) for batch, _ in batches] == [3, 2]
    assert [targets.numpy().tolist() for _, targets in batches] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": A, "c": B}, "no input 'c'"),
        ({"a": A}, "no array for the model's input b"),
        ((A, B, B), r"2 inputs \(a, b\). Received: 3"),
        ({"a": A, "b": B[:4]}, "differ in length"),
        ({"a": A[:, :1], "b": B}, r"shape \(samples, 2\). Received: float32 of shape \(2, 1\)"),
        ({"a": A.astype(str), "b": B}, "must hold numbers"),
        ({"a": A * np.nan, "b": B}, "NaN or infinite"),
        ({"a": A[:0], "b": B[:0]}, "empty"),
        (iter(()), "empty"),
    ],
)
def test_data_that_do_not_fit_are_explained(inputs, message):
    with pytest.raises(DataError, match=message):
        list(read_batches(inputs, TWO, 2))


def test_names_pair_by_name_whatever_the_order():
    file = (TensorSpec("b", (1, 3), "int8"), TensorSpec("a", (1, 2), "int8"))
    assert match_names({"a": (-1, 2), "b": (-1, 3)}, file, "input") == {"a": "a", "b": "b"}


def test_names_that_a_converter_made_up_pair_in_numeric_order():
    file = tuple(TensorSpec(f"output_{i}", (1, i + 1), "int8") for i in (0, 10, 2))
    model = {"first": (8, 1), "second": (8, 3), "third": (8, 11)}
    expected = {"output_0": "first", "output_2": "second", "output_10": "third"}
    assert match_names(model, file, "output") == expected
    bare = (TensorSpec("serving_default_x:0", (1, 2), "int8"),)
    assert match_names({"x": (-1, 2)}, bare, "input") == {"serving_default_x:0": "x"}


def test_a_file_of_another_model_is_noticed_by_its_shapes():
    with pytest.raises(DataError, match="Is it this model's file"):
        match_names({"x": (-1, 2)}, (TensorSpec("y", (1, 3), "int8"),), "input")
