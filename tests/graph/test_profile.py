"""Costs counted by hand, and memory as LiteRT's own planner allocates it."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.graph import zoo
from tests.graph.arena import arena_bytes, to_tflite
from tfzip.errors import ModelError, OptionError, UnknownNameError
from tfzip.graph import profile, rebuild
from tfzip.graph.arena import Buffer, plan
from tfzip.graph.macs import einsum_macs


def macs_of(layer, *shapes, batch=1, dtype="float32"):
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    (row,) = profile(keras.Model(inputs, layer(*inputs)), batch=batch).layers
    return row.macs


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.Conv2D(6, 3), (8, 8, 4), 6 * 6 * 6 * 3 * 3 * 4),
        (layers.Conv2D(6, 3, strides=2, padding="same"), (8, 8, 4), 4 * 4 * 6 * 3 * 3 * 4),
        (layers.Conv2D(6, 3, dilation_rate=2), (8, 8, 4), 4 * 4 * 6 * 3 * 3 * 4),
        (layers.Conv2D(6, 3, groups=2, padding="same"), (8, 8, 4), 8 * 8 * 6 * 3 * 3 * 2),
        (layers.Conv1D(5, 3), (10, 2), 8 * 5 * 3 * 2),
        (layers.Conv3D(2, 2), (4, 4, 4, 3), 3 * 3 * 3 * 2 * 2 * 2 * 2 * 3),
        (layers.Conv2DTranspose(5, 3, strides=2, padding="same"), (4, 4, 3), 4 * 4 * 3 * 3 * 3 * 5),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 4), 6 * 6 * 8 * 3 * 3),
        (layers.SeparableConv2D(6, 3), (8, 8, 4), 6 * 6 * 4 * 9 + 6 * 6 * 4 * 6),
        (layers.Dense(7), (5,), 5 * 7),
        (layers.Dense(7), (3, 4, 5), 3 * 4 * 5 * 7),
        (layers.EinsumDense("abc,cde->abde", (None, 2, 4)), (3, 5), 3 * 5 * 2 * 4),
        (layers.EinsumDense("...x,xy->...y", 4), (3, 5), 3 * 5 * 4),
        (layers.LSTM(6), (7, 5), 7 * 4 * 6 * (5 + 6)),
        (layers.GRU(6), (7, 5), 7 * 3 * 6 * (5 + 6)),
        (layers.SimpleRNN(6), (7, 5), 7 * 6 * (5 + 6)),
        (
            layers.RNN([layers.LSTMCell(4), layers.LSTMCell(3)]),
            (7, 5),
            7 * (4 * 4 * (5 + 4) + 4 * 3 * (4 + 3)),
        ),
        (layers.Bidirectional(layers.LSTM(6)), (7, 5), 2 * 7 * 4 * 6 * (5 + 6)),
        (layers.TimeDistributed(layers.Conv2D(6, 3)), (5, 8, 8, 4), 5 * 6 * 6 * 6 * 3 * 3 * 4),
        (layers.BatchNormalization(), (8, 8, 4), 0),
        (layers.MaxPooling2D(), (8, 8, 4), 0),
    ],
)
def test_macs_are_those_counted_by_hand(layer, shape, expected):
    assert macs_of(layer, shape) == expected
    assert macs_of(layer, shape, batch=3) == 3 * expected


def test_looking_up_embeddings_multiplies_nothing():
    assert macs_of(layers.Embedding(100, 8), (5,), dtype="int32") == 0


def test_macs_of_attention_between_different_lengths():
    layer = layers.MultiHeadAttention(num_heads=2, key_dim=3, value_dim=4)
    projections = 5 * 8 * 2 * 3 + 7 * 6 * 2 * 3 + 7 * 6 * 2 * 4 + 5 * 2 * 4 * 8
    assert macs_of(layer, (5, 8), (7, 6)) == projections + 2 * 5 * 7 * (3 + 4)


def test_macs_of_products_between_activations():
    assert macs_of(ops.matmul, (4, 5), (5, 6)) == 4 * 5 * 6
    assert macs_of(lambda a, b: ops.einsum("bij,bkj->bik", a, b), (4, 5), (6, 5)) == 4 * 6 * 5
    assert einsum_macs("...ij,jk->...ik", [(2, 3, 4, 5), (5, 6)]) == 2 * 3 * 4 * 5 * 6


def test_a_layer_that_no_rule_knows_is_listed():
    x = keras.Input((4, 6, 6, 2))
    found = profile(keras.Model(x, layers.ConvLSTM2D(3, 2, name="conv_lstm")(x)))
    assert found.uncounted == ("conv_lstm",)
    assert found.macs == 0


def depthwise_net():
    """Residual, depthwise, concatenated, with batch normalization and two kinds of ReLU."""
    x = keras.Input((16, 16, 8))
    y = layers.ReLU(name="relu")(
        layers.BatchNormalization(name="norm")(layers.Conv2D(16, 3, padding="same", name="conv")(x))
    )
    z = layers.ReLU(6.0, name="relu6")(layers.DepthwiseConv2D(3, padding="same", name="dw")(y))
    z = layers.Conv2D(16, 1, name="project")(z)
    y = layers.Concatenate(name="join")([layers.ReLU(name="sum_relu")(layers.Add(name="sum")([y, z])), z])
    y = layers.Dense(10, name="head")(layers.GlobalAveragePooling2D(name="pool")(y))
    return keras.Model(x, layers.Softmax(name="prob")(y))


def preactivated_net():
    """Batch normalization before convolutions, and an activation of two operations."""
    x = keras.Input((16, 16, 4))
    y = layers.Conv2D(8, 3, padding="same")(x)
    for _ in range(2):
        z = layers.Conv2D(8, 3, padding="same")(layers.ReLU()(layers.BatchNormalization()(y)))
        y = layers.Add()([y, layers.Activation("silu")(layers.BatchNormalization()(z))])
    return keras.Model(x, y)


def mlp():
    x = keras.Input((8, 8, 3))
    y = layers.Dense(50, activation="relu")(layers.Dropout(0.2)(layers.Flatten()(x)))
    return keras.Model(x, layers.Dense(10, activation="softmax")(y))


def densely_connected_net():
    x = keras.Input((16, 16, 4))
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    for _ in range(3):
        y = layers.Concatenate()([y, layers.Conv2D(4, 3, padding="same", activation="relu")(y)])
    y = layers.SeparableConv2D(12, 3, activation="relu")(layers.MaxPooling2D()(y))
    return keras.Model(x, layers.Dense(5)(layers.Flatten()(layers.ZeroPadding2D(1)(y))))


def mobilenet():
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=4)


@pytest.mark.parametrize("scheme", ["float32", "int8"])
@pytest.mark.parametrize(
    "build",
    [
        depthwise_net,
        preactivated_net,
        mlp,
        densely_connected_net,
        zoo.residual,
        zoo.shuffle,
        zoo.pixel_shuffle,
    ],
)
def test_peak_memory_is_exactly_the_arena_of_litert(build, scheme):
    model = rebuild(build())
    assert profile(model, scheme).peak_activation_bytes == arena_bytes(to_tflite(model, scheme))


@pytest.mark.parametrize("build", [mobilenet, zoo.mobilenet_v3])
def test_peak_memory_of_applications_is_exactly_the_arena_of_litert(build):
    model = build()
    found = profile(model)
    content = to_tflite(rebuild(model))
    assert found.peak_activation_bytes == arena_bytes(content)
    assert 0.95 * len(content) < found.weight_bytes < len(content)


def test_peak_memory_of_a_transformer_is_near_the_arena_of_litert():
    model = zoo.vit()
    expected = arena_bytes(to_tflite(rebuild(model)))
    assert 0.7 * expected <= profile(model).peak_activation_bytes <= 1.3 * expected


def test_peak_memory_grows_with_the_batch():
    model = depthwise_net()
    assert profile(model, batch=4).peak_activation_bytes == arena_bytes(to_tflite(model, batch=4))


def test_rows_say_what_each_layer_costs():
    rows = {row.path: row for row in profile(depthwise_net(), "int8").layers}
    assert (rows["conv"].kind, rows["conv"].output_shape) == ("Conv2D", (1, 16, 16, 16))
    assert rows["conv"].parameters == 3 * 3 * 8 * 16 + 16
    assert rows["conv"].weight_bytes == 3 * 3 * 8 * 16 + 4 * 16
    assert rows["conv"].activation_bytes == 16 * 16 * 16
    assert [rows[path].activation_bytes for path in ("norm", "relu", "relu6", "sum_relu")] == [0, 0, 0, 0]
    assert rows["norm"].weight_bytes == 0
    assert rows["join"].activation_bytes == 16 * 16 * 32


def test_the_busiest_layer_is_named():
    assert profile(depthwise_net()).peak_path == "join"


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("float32", 4 * (32 * 40 + 40) + 4 * (40 * 2 + 2)),
        ("float16", 2 * (32 * 40 + 40) + 2 * (40 * 2 + 2)),
        ("int8_weights", (32 * 40 + 4 * 40) + 4 * (40 * 2 + 2)),  # the second kernel is below 1024 numbers
        ("int8", (32 * 40 + 4 * 40) + (40 * 2 + 4 * 2)),
        ("int16x8", (32 * 40 + 8 * 40) + (40 * 2 + 8 * 2)),
    ],
)
def test_weight_bytes_follow_the_scheme(scheme, expected):
    x = keras.Input((32,))
    assert profile(keras.Model(x, layers.Dense(2)(layers.Dense(40)(x))), scheme).weight_bytes == expected


def test_a_shared_layer_holds_its_weights_once_and_works_twice():
    rows = {row.path: row for row in profile(zoo.siamese()).layers}
    assert rows["tower/conv"].parameters == 3 * 3 * 1 * 3 + 3
    assert rows["tower/conv"].macs == 2 * 6 * 6 * 3 * 3 * 3


def test_totals_are_sums_of_rows():
    model = zoo.built("residual")
    found = profile(model)
    assert found.parameters == model.count_params()
    assert found.macs == sum(row.macs for row in found.layers)


def test_buffers_share_memory_only_where_lifetimes_allow():
    first, second, third = Buffer(100, 0, 1), Buffer(200, 1, 2), Buffer(100, 2, 3)
    assert plan([first, second, third]) == 256 + 100
    assert (first.offset, second.offset, third.offset) == (256, 0, 256)


@pytest.mark.parametrize("seed", range(20))
def test_buffers_alive_together_never_overlap(seed):
    rng = np.random.default_rng(seed)
    begins = rng.integers(0, 30, 40)
    buffers = [Buffer(int(rng.integers(1, 900)), int(t), int(t + rng.integers(0, 9))) for t in begins]
    size = plan(buffers)
    for time in range(40):
        alive = sorted((b.offset, b.size_bytes) for b in buffers if b.first <= time <= b.last)
        assert all(start + length <= after for (start, length), (after, _) in pairwise(alive))
        assert sum(length for _, length in alive) <= size


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda model: profile(model, "int9"), UnknownNameError, "Did you mean 'int8'"),
        (lambda model: profile(model, batch=0), OptionError, "batch must be at least 1"),
    ],
)
def test_wrong_options_are_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(zoo.built("nested_twice"))


def test_open_sizes_are_an_error_with_a_remedy():
    x = keras.Input((None, None, 3), name="image")
    with pytest.raises(
        ModelError, match=r"fixed sizes. Received: input 'image'.*\(1, None, None, 3\).*Rebuild"
    ):
        profile(keras.Model(x, layers.Conv2D(2, 3)(x)))
