"""The rarest values do not widen a range, and inputs and outputs keep theirs."""

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tfzip.tflite import read


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


def test_a_minimum_does_not_cut_off_what_others_read_of_its_inputs(tmp_path):
    keras.utils.set_random_seed(1)
    x = keras.Input((4, 4, 3))
    wide, narrow = keras.layers.Conv2D(4, 1)(x), keras.layers.Conv2D(4, 1)(x)
    least = keras.ops.maximum(keras.ops.minimum(wide, 0.1 * narrow), -0.2)
    model = keras.Model(x, [least, keras.layers.Conv2D(2, 1)(wide)])
    data = np.random.default_rng(0).normal(size=(64, 4, 4, 3)).astype(np.float32)
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=data)
    report = tfzip.compare(model, artifact, data)
    assert all(output.cosine > 0.995 for output in report.outputs)
