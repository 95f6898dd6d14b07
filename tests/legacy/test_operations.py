"""TensorFlow functions called on Keras 2 tensors: the recorded call computes the same as `keras.ops`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.legacy.peer import assert_same
from tfzip import from_tf_keras
from tfzip.errors import ModelError

KERNEL = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
K = tf_keras.backend

ONE_INPUT = {
    "add_constant": lambda x: x + 1.5,
    "subtract_from": lambda x: 1.0 - x,
    "divide": lambda x: x / 3.0,
    "divide_into": lambda x: 2.0 / (x * x + 1.0),
    "floor_divide": lambda x: x // 2.0,
    "modulo": lambda x: x % 2.0,
    "power": lambda x: abs(x) ** 1.5,
    "negative": lambda x: -x,
    "array_constant": lambda x: x * tf.constant(np.arange(8.0), tf.float32),
    "matmul": lambda x: tf.matmul(x, KERNEL),
    "matmul_transposed": lambda x: tf.matmul(x, KERNEL.T, transpose_b=True),
    "operator_matmul": lambda x: x @ tf.constant(KERNEL),
    "slice": lambda x: x[:, 1:, ::2],
    "slice_index": lambda x: x[:, 0],
    "slice_ellipsis": lambda x: x[..., 2:, tf.newaxis],
    "reshape": lambda x: tf.reshape(x, (-1, 6, 4)),
    "reshape_by_shape": lambda x: tf.reshape(x, [tf.shape(x)[0], 6 * 4, 8]),
    "transpose": lambda x: tf.transpose(x, [0, 3, 1, 2]),
    "concat": lambda x: tf.concat([x, x * 2.0], axis=-1),
    "stack": lambda x: tf.stack([x, x + 1.0], axis=2),
    "unstack": lambda x: tf.unstack(x, axis=1)[2],
    "split": lambda x: tf.split(x, 2, axis=-1)[1],
    "split_by_sizes": lambda x: tf.split(x, [1, 5, 2], axis=-1)[1],
    "expand_and_squeeze": lambda x: tf.squeeze(tf.expand_dims(x, 1), 1),
    "tile": lambda x: tf.tile(x, [1, 2, 1, 1]),
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=0.5),
    "pad_reflect": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="REFLECT"),
    "gather": lambda x: tf.gather(x, [2, 0], axis=1),
    "repeat": lambda x: tf.repeat(x, 2, axis=1),
    "reverse": lambda x: tf.reverse(x, [1, 2]),
    "roll": lambda x: tf.roll(x, 1, 1),
    "reduce_mean": lambda x: tf.reduce_mean(x, [1, 2]),
    "reduce_sum_keep": lambda x: tf.reduce_sum(x, axis=-1, keepdims=True),
    "reduce_max": lambda x: tf.reduce_max(x, axis=1),
    "reduce_std": lambda x: tf.math.reduce_std(x, axis=1),
    "argmax": lambda x: tf.argmax(x, axis=-1) + tf.constant(0, tf.int64),
    "cumsum": lambda x: tf.cumsum(x, axis=1),
    "moments": lambda x: tf.concat(tf.nn.moments(x, [1, 2]), -1),
    "exp_log_sqrt": lambda x: tf.sqrt(tf.math.log(tf.exp(x) + 1.0)),
    "tanh_sigmoid": lambda x: tf.tanh(x) + tf.sigmoid(x),
    "relu_family": lambda x: tf.nn.relu(x) + tf.nn.relu6(x * 9.0) + tf.nn.leaky_relu(x, 0.1),
    "silu_gelu": lambda x: tf.nn.silu(x) + tf.nn.gelu(x, approximate=True),
    "softmax": lambda x: tf.nn.softmax(x, axis=1),
    "log_softmax": lambda x: tf.nn.log_softmax(x),
    "l2_normalize": lambda x: tf.math.l2_normalize(x, axis=-1),
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3.0) / 6.0,
    "clip": lambda x: tf.clip_by_value(x, -0.5, 0.25),
    "where": lambda x: tf.where(x > 0, x, tf.zeros_like(x)),
    "compare_and_cast": lambda x: tf.cast((x > 0) & ~(x >= 1), "float32"),
    "rounding": lambda x: tf.floor(x) + tf.round(x) + tf.math.ceil(x) + tf.sign(x),
    "max_pool": lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME"),
    "avg_pool": lambda x: tf.nn.avg_pool2d(x, [2, 3], [1, 2], "VALID"),
    "resize": lambda x: tf.image.resize(x, (5, 9)),
    "bias_add": lambda x: tf.nn.bias_add(x, np.arange(8, dtype="float32")),
    "one_hot": lambda x: tf.one_hot(tf.cast(x[:, 0, 0] > 0, "int32"), 3),
    "stop_gradient": lambda x: tf.stop_gradient(x) + tf.identity(x),
    "backend": lambda x: K.concatenate([K.mean(x, axis=1), K.permute_dimensions(K.max(x, 1), (0, 1, 2))]),
}  # fmt: skip

TWO_INPUTS = {
    "arithmetic": lambda a, b: a + b * a - b / 2.0,
    "einsum": lambda a, b: tf.einsum("bijc,bikc->bijk", a, b),
    "maximum": lambda a, b: tf.maximum(a, b) - tf.minimum(a, b),
    "squared_difference": lambda a, b: tf.math.squared_difference(a, b),
    "add_n": lambda a, b: tf.add_n([a, b, a]),
    "matmul_transposed": lambda a, b: tf.matmul(a, b, transpose_b=True),
    "keyword_tensor": lambda a, b: tf.add(x=a, y=b),
    "batch_dot": lambda a, b: K.batch_dot(K.max(a, axis=1), K.max(b, axis=1), axes=2),
}


@pytest.mark.parametrize("name", ONE_INPUT)
def test_an_operation_on_one_tensor_computes_the_same(name):
    entry = tf_keras.Input((4, 6, 8))
    old = tf_keras.Model(entry, ONE_INPUT[name](entry))
    assert_same(old, from_tf_keras(old))


@pytest.mark.parametrize("name", TWO_INPUTS)
def test_an_operation_on_two_tensors_computes_the_same(name):
    a, b = tf_keras.Input((4, 6, 8)), tf_keras.Input((4, 6, 8))
    old = tf_keras.Model([a, b], TWO_INPUTS[name](a, b))
    assert_same(old, from_tf_keras(old))


def test_operations_survive_a_round_trip_through_keras_3(tmp_path):
    entry = tf_keras.Input((4, 6, 8))
    old = tf_keras.Model(entry, tf.matmul(tf.nn.relu(entry[:, 1:, ::2]) + 1.0, KERNEL))
    from_tf_keras(old).save(tmp_path / "new.keras")
    assert_same(old, keras.models.load_model(tmp_path / "new.keras"))


def test_operations_do_not_clash_with_layers_of_the_same_name():
    keras.utils.clear_session()  # the next operations are called add, add_1, ...
    entry = tf_keras.Input((4,))
    y = entry + 1.0
    for name in ("add", "add_1", "add_3"):
        y = tf_keras.layers.Add(name=name)([y, y + 1.0])
    old = tf_keras.Model(entry, y)
    assert_same(old, from_tf_keras(old))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (tf.math.lgamma, r"'tf\.math\.lgamma[^']*' is tf\.math\.lgamma"),
        (lambda x: tf.gather(x, [[0], [1]], batch_dims=1, axis=2), "batch_dims"),
        (lambda x: tf.split(x, [1, -1], axis=-1)[0], "sizes is -1"),
        (lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME", data_format="NHWC"), "data_format"),
    ],
    ids=["unknown", "gather", "split", "argument"],
)
def test_an_operation_without_counterpart_is_named(function, words):
    entry = tf_keras.Input((4, 6, 8), batch_size=2)
    with pytest.raises(ModelError, match=words):
        from_tf_keras(tf_keras.Model(entry, function(entry)))
