"""When outputs of a device count as those of the host."""

import numpy as np
import pytest

from tfzip.bench.agreement import Reference, agreement
from tfzip.errors import DeviceError

HOST = np.array([[10, -20, 30]], "int8")
FLOATS = np.array([[1.0, -4.0]], "float32")
DESCRIBED = [{"name": "a", "bytes": 3}, {"name": "b", "bytes": 8}]


def agreed(a, b, *, others=()):
    reference = Reference([{}], [{"a": HOST, "b": FLOATS}], others)
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


def test_where_kernels_round_apart_a_device_may_be_three_times_as_far():
    others = [{"a": HOST + np.int8(4), "b": FLOATS * np.float32(1.01)}]
    assert agreed(HOST + 12, FLOATS * 1.02, others=others).largest == 12
    with pytest.raises(DeviceError, match="'a' differs from the host's by 13, allowed 12"):
        agreed(HOST + 13, FLOATS, others=others)
    with pytest.raises(DeviceError, match="'b' differs"):
        agreed(HOST, FLOATS * 1.04, others=others)


def test_outputs_without_names_are_taken_by_place():
    reference = Reference([{}], [{"x": HOST}], [{"x": HOST + np.int8(1)}])
    found = agreement(reference, (HOST + np.int8(3)).tobytes(), [{"name": "", "bytes": 3}])
    assert found.largest == 3
