"""Inputs lie in each tensor's range, or are the user's data in the file's number format."""

import numpy as np
import pytest

from tfzip.artifact import TensorSpec
from tfzip.bench.inputs import random_feed, real_feeds
from tfzip.errors import DataError

IMAGE = TensorSpec("image", (1, 2), "float32")
STEPS = TensorSpec("steps", (1, 2), "int8", scale=0.5, zero_point=-1)
INDEX = TensorSpec("index", (-1, 3), "int32")


def test_random_inputs_are_seeded_and_lie_in_range():
    specs = [
        IMAGE,
        TensorSpec("wide", (4000,), "int16", scale=0.1),
        INDEX,
        TensorSpec("mask", (50,), "bool"),
    ]
    feed = random_feed(specs, seed=3)
    assert {name: (array.shape, array.dtype.name) for name, array in feed.items()} == {
        "image": ((1, 2), "float32"),
        "wide": ((4000,), "int16"),
        "index": ((1, 3), "int32"),
        "mask": ((50,), "bool"),
    }
    assert feed["wide"].min() < -32000
    assert feed["wide"].max() > 32000
    assert set(feed["index"].ravel()) <= {0, 1}
    assert np.array_equal(feed["wide"], random_feed(specs, seed=3)["wide"])
    assert not np.array_equal(feed["wide"], random_feed(specs, seed=4)["wide"])


def test_text_needs_real_data():
    with pytest.raises(DataError, match="Give real data"):
        random_feed([TensorSpec("text", (1,), "str")], seed=0)


def test_real_data_are_cut_into_batches_and_quantized():
    # q = x / 0.5 - 1
    feeds = real_feeds([STEPS], np.array([[0.0, 1.0], [-0.5, 200.0]]))
    assert [feed["steps"].tolist() for feed in feeds] == [[[-1, 1]], [[-2, 127]]]
    assert feeds[0]["steps"].dtype == np.int8


def test_several_inputs_are_matched_by_name_or_order():
    image, index = np.zeros((5, 2), np.float32), np.ones((5, 3), np.int32)
    by_order = real_feeds([IMAGE, INDEX], (image, index))
    by_name = real_feeds([IMAGE, INDEX], {"index": index, "image": image})
    assert len(by_order) == len(by_name) == 5
    assert by_order[0]["index"].tolist() == by_name[0]["index"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 2)), "less than one batch"),
        ({"img": np.zeros((1, 2))}, r"name \['img'\]"),
        ((np.zeros((1, 2)), np.zeros((1, 2))), "1 inputs"),
        (np.array(["a"]), "must be numbers"),
        (np.float32(1.0), "first axis"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        real_feeds([IMAGE], data)
