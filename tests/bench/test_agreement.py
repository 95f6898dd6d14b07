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
