"""The rarest values do not widen a range, and inputs and outputs keep theirs."""

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tfzip.conversion.converters.ranges import _covering
from tfzip.tflite import read


@pytest.mark.parametrize("percentile", [0.9, 0.99, 0.9999])
def test_bounds_agree_with_numpy_to_one_bin(percentile):
    values = np.concatenate([np.random.default_rng(3).normal(size=200_000), [40.0, -30.0]])
    histogram, edges = np.histogram(values, 4096)
    low, high = _covering(histogram, edges[0], edges[-1], percentile)
    width = edges[1] - edges[0]
    expected = np.quantile(values, [1 - percentile, percentile])
    np.testing.assert_allclose([low, high], expected, atol=2 * width)


def test_zero_stays_representable_and_a_constant_keeps_its_range():
    histogram = np.zeros(4096, np.int64)
    histogram[4000:] = 1000
    assert _covering(histogram, 0.0, 1.0, 0.9999)[0] == 0.0
    single = np.zeros(4096, np.int64)
    single[0] = 1
    assert _covering(single, -1.0, 0.0, 0.9999) == pytest.approx((-1.0, 0.0), abs=1e-3)


def test_an_outlier_widens_the_input_but_no_inner_range(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((64,), name="x")
    inner = layers.Dense(64, "relu", use_bias=False, kernel_initializer="identity", name="inner")(x)
    model = keras.Model(x, layers.Dense(64, use_bias=False, kernel_initializer="identity", name="out")(inner))
    data = np.random.default_rng(0).uniform(0, 1, (512, 64)).astype("float32")
    data[100, 7] = 100.0
    graph = read(tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=data).path).main
    scale_of = {op.index: graph.tensors[op.outputs[0]].scales[0] for op in graph.operators}
    assert graph.tensors[graph.inputs[0]].scales[0] == pytest.approx(100 / 255, rel=0.01)
    assert scale_of[0] == pytest.approx(1 / 255, rel=0.05)
    assert scale_of[1] == pytest.approx(100 / 255, rel=0.01)
