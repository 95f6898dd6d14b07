"""When outputs of a device count as those of the host."""

import numpy as np
import pytest

from tfzip.bench.agreement import Reference, agreement
from tfzip.errors import DeviceError

HOST = np.array([[10, -20, 30]], "int8")
FLOATS = np.array([[1.0, -4.0]], "float32")
DESCRIBED = [{"name": "a", "bytes": 3}, {"name": "b", "bytes": 8}]


def agreed(a, b, *, uneven=False):
    reference = Reference([{}], [{"a": HOST, "b": FLOATS}], uneven)
    return agreement(reference, a.astype("int8").tobytes() + b.astype("float32").tobytes(), DESCRIBED)


def test_integers_may_be_a_step_away_and_floats_a_thousandth():
    assert agreed(HOST, FLOATS).identical
    found = agreed(np.add(HOST, [[0, 1, 0]]), FLOATS * 1.0005)
    assert not found.identical
    assert found.largest == 1
    assert found.share == 3 / 5
    with pytest.raises(DeviceError, match="'a' differs from the host's by 2, allowed 1"):
        agreed(np.add(HOST, [[0, 2, 0]]), FLOATS)
    with pytest.raises(DeviceError, match="'b' differs from the host's by 0.002, allowed 0.001"):
        agreed(HOST, FLOATS * 1.002)


def test_where_processors_round_differently_outputs_are_alike():
    spread = HOST.std()
    assert agreed(HOST + int(0.45 * spread), FLOATS * 1.2, uneven=True).largest == int(0.45 * spread)
    with pytest.raises(DeviceError, match="'a' differs"):
        agreed(HOST + int(0.6 * spread), FLOATS, uneven=True)
    with pytest.raises(DeviceError, match="'b' differs"):
        agreed(HOST, -FLOATS, uneven=True)
    with pytest.raises(DeviceError, match="'b' differs from the host's by inf"):
        agreed(HOST, FLOATS * np.nan, uneven=True)


def test_outputs_that_are_all_the_same_may_be_a_step_away():
    flat = np.full((1, 3), 7, "int8")
    reference = Reference([{}], [{"x": flat}], uneven=True)
    found = agreement(reference, (flat + np.int8(1)).tobytes(), [{"name": "", "bytes": 3}])
    assert found.largest == 1
    with pytest.raises(DeviceError, match="by 2, allowed 1"):
        agreement(reference, (flat + np.int8(2)).tobytes(), [{"name": "", "bytes": 3}])


def compared(wanted, found, **fields):
    reference = Reference([{}], [{"x": np.array(wanted)}], **fields)
    content = np.array(found, np.array(wanted).dtype).tobytes()
    return agreement(reference, content, [{"name": "x", "bytes": len(content)}])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (np.array([True, False, True]), [False, True, False]),
        (np.array([3], "int64"), [4]),
        (np.array([2**60], "int64"), [2**60 + 1]),
        (np.array([7], "int32"), [6]),
        (np.array([np.inf, 1.0], "float32"), [-np.inf, 1.0]),
        (np.array([np.inf, 1.0], "float32"), [np.nan, 1.0]),
    ],
)
def test_decisions_indices_and_infinities_are_equal(wanted, found):
    assert compared(wanted, wanted).identical
    with pytest.raises(DeviceError, match="'x' differs from the host's"):
        compared(wanted, found)


def test_steps_are_those_of_a_scale():
    integers = np.array([7, 9], "uint8")
    assert compared(integers, [8, 9]).largest == 1
    with pytest.raises(DeviceError, match="by 1, allowed 0"):
        compared(integers, [8, 9], plain=frozenset(["x"]))


def test_an_index_may_be_another_where_processors_round_differently_but_not_a_map_of_them():
    assert compared(np.array([3], "int64"), [4], uneven=True).largest == 1
    decisions = np.arange(8) % 2 == 0
    with pytest.raises(DeviceError, match="allowed 0"):
        compared(decisions, ~decisions, uneven=True)


def test_what_is_no_number_on_both_sides_is_no_difference():
    values = np.array([np.nan, np.inf, 2.0], "float32")
    assert compared(values, values).share == 0
    assert compared(values, [np.nan, np.inf, 2.0001]).share == 1 / 3


def test_random_numbers_are_named_as_the_reason():
    with pytest.raises(DeviceError, match="draws random numbers"):
        compared(np.array([1.0], "float32"), [2.0], random=True)
