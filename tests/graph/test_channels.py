"""A model without channels computes what it computes with zeros in their place."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import tfzip
from tests.graph.channel_zoo import MODELS, built, examples, head, image
from tfzip.errors import OptionError
from tfzip.graph.channels import Channels

TIED_TO_THE_INPUT = {"residual_with_the_input", "concatenated_with_the_input"}


def half(channels, seed=0):
    """Returns half of the channels of each group, drawn."""
    rng = np.random.default_rng(seed)
    return [unit for group in channels.groups for unit in rng.permutation(group.units)[: group.size // 2]]


def with_zeros(model, channels, removed, inputs):
    """Returns what a model computes with zeros in place of some channels; its weights are put back."""
    before = model.get_weights()
    for variable, values in channels.zeroed(removed):
        variable.assign(values)
    result = keras.tree.map_structure(np.asarray, model(inputs, training=False))
    model.set_weights(before)
    return result


def assert_equal_outputs(found, wanted):
    keras.tree.assert_same_structure(found, wanted)
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("name", MODELS)
def test_the_smaller_model_computes_what_zeros_compute(name):
    model = built(name)
    channels, inputs = Channels(model), examples(model)
    removed = half(channels)
    before = model.get_weights()
    small = channels.without(removed)
    assert_equal_outputs(small(inputs, training=False), with_zeros(model, channels, removed, inputs))
    assert small.count_params() < model.count_params()
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


@pytest.mark.parametrize("name", sorted(MODELS.keys() - TIED_TO_THE_INPUT))
def test_nothing_stays_but_what_is_returned(name):
    channels = Channels(built(name))
    assert channels.barriers == {}
    assert {group.reason for group in channels.fixed} <= {"the model returns them"}


def test_what_is_added_to_the_input_stays():
    assert Channels(built("residual_with_the_input")).barriers == {
        "add": "it joins them with channels that stay"
    }


@pytest.mark.parametrize("name", ["layer_normalized", "shuffled", "split", "recurrent", "grouped"])
def test_a_smaller_model_can_be_made_smaller_again(name):
    model = built(name)
    first = Channels(model)
    small = first.without([unit for group in first.groups for unit in group.units[: group.size // 4]])
    second, inputs = Channels(small), examples(model)
    assert second.barriers == {}
    assert sum(group.size for group in second.groups) < sum(group.size for group in first.groups)
    removed = half(second)
    smaller = second.without(removed)
    assert_equal_outputs(smaller(inputs, training=False), with_zeros(small, second, removed, inputs))


def test_a_group_says_where_its_channels_stand():
    x = image()
    y = layers.Conv2D(6, 3, name="first")(x)
    z = layers.Concatenate()([layers.Conv2D(4, 3, name="other")(x), y])
    model = keras.Model(
        x, layers.Dense(2, name="head")(layers.Flatten()(layers.BatchNormalization(name="norm")(z)))
    )
    groups = {group.name: group for group in Channels(model).groups}
    assert set(groups) == {"first", "other"}
    found = {
        (one.path, one.weight, one.axis, one.offset, one.repeat, one.role) for one in groups["first"].slices
    }
    assert ("first", "kernel", 3, 0, 1, "out") in found
    assert ("first", "bias", 0, 0, 1, "channel") in found
    assert ("norm", "gamma", 0, 4, 1, "channel") in found
    assert ("head", "kernel", 0, 4, 36, "in") in found
    assert len(found) == 7


def test_residual_branches_are_one_group():
    channels = Channels(built("residual"))
    assert sorted(group.size for group in channels.groups) == [6, 6, 8]
    widest = max(channels.groups, key=lambda group: group.size)
    assert sum(one.role == "out" for one in widest.slices) == 3


def test_groups_of_a_convolution_go_as_a_whole():
    channels = Channels(built("grouped"))
    group = next(one for one in channels.groups if one.name == "conv2d")
    assert group.size == 4
    small = channels.without(group.units[1:3])
    grouped = next(layer for layer in small.layers if getattr(layer, "groups", 1) > 1)
    assert (grouped.groups, grouped.filters, grouped.kernel.shape) == (2, 4, (3, 3, 3, 4))


def stops(function, layer=None):
    """Returns the channels of a model in which a function works on those of a convolution."""
    x = image()
    y = function(layers.Conv2D(6, 3, name="conv")(x))
    return Channels(keras.Model(x, head(layers.Conv2D(4, 1, name="after")(y))))


@pytest.mark.parametrize(
    ("function", "path"),
    [
        (layers.Lambda(lambda x: x[..., ::-1], name="mine"), "mine/get_item"),
        (layers.Lambda(lambda x: tf.reverse(x, [-1]), name="mine"), "mine"),
        (lambda x: ops.softmax(x, axis=-1), "softmax"),
        (lambda x: ops.flip(x, axis=-1), "flip"),
        (lambda x: x - ops.mean(x, axis=-1, keepdims=True), "mean"),
        (lambda x: ops.cumsum(x, axis=-1), "cumsum"),
        (lambda x: x[..., ::2], "get_item"),
        (lambda x: ops.take(x, [3, 1, 2], axis=-1), "take"),
        (lambda x: layers.Activation(lambda y: ops.roll(y, 1, -1), name="mine")(x), "mine"),
        (lambda x: layers.LayerNormalization(axis=(1, 2, 3), name="norm")(x), "norm"),
    ],
)
def test_what_mixes_channels_stops_them(function, path):
    channels = stops(function)
    assert path in channels.barriers
    assert [group.name for group in channels.groups] == ["after"]
    assert "conv" in {group.name for group in channels.fixed}


def test_a_layer_of_the_user_stops_channels_and_is_kept():
    class Doubled(layers.Layer):
        def call(self, x):
            return 2 * x[..., ::-1]

    class Opaque(layers.Conv2D):
        def call(self, x):
            return super().call(x) * ops.arange(6, dtype="float32")

    channels = stops(lambda x: Opaque(6, 1, name="opaque")(x))
    assert channels.barriers == {"opaque": "it is code that channels cannot be followed through"}
    assert stops(Doubled(name="mine")).groups[0].name == "after"


def test_the_smaller_model_is_saved_without_tfzip(tmp_path):
    model = built("layer_normalized")
    channels, inputs = Channels(model), examples(model)
    small = channels.without(half(channels))
    small.save(tmp_path / "small.keras")
    np.save(tmp_path / "x.npy", inputs)
    np.save(tmp_path / "y.npy", small(inputs))
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.models.load_model('small.keras')\n"
        "np.testing.assert_allclose(model(np.load('x.npy')), np.load('y.npy'), rtol=1e-5, atol=1e-6)\n"
        "assert 'tfzip' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)


def test_removing_nothing_changes_nothing():
    model = built("attended")
    inputs = examples(model)
    np.testing.assert_array_equal(Channels(model).without([])(inputs), model(inputs))


def stays(outputs, inputs, path):
    """Returns the reasons why the channels that a layer makes stay."""
    fixed = Channels(keras.Model(inputs, outputs)).fixed
    made_by = [(group.reason, one.path) for group in fixed for one in group.slices if one.role == "out"]
    return "; ".join(reason for reason, maker in made_by if maker == path)


def test_masks_of_one_channel_stay():
    x = image()
    one, other = ops.split(layers.Conv2D(2, 3, padding="same", name="masks")(x), 2, axis=-1)
    y = one * layers.Conv2D(6, 3, padding="same")(x) + other * layers.Conv2D(6, 3, padding="same")(x)
    model = keras.Model(x, head(y))
    channels, inputs = Channels(model), examples(model)
    removed = half(channels)
    wanted = with_zeros(model, channels, removed, inputs)
    assert_equal_outputs(channels.without(removed)(inputs, training=False), wanted)
    assert "serves all places" in stays(head(y), x, "masks")


def test_units_that_begin_with_an_input_stay():
    x, state = keras.Input((3, 5)), keras.Input((6,))
    made = layers.Dense(2)(layers.GRU(6, name="units")(x, initial_state=state))
    assert "begin with states that stay" in stays(made, [x, state], "units")


def test_bounds_for_each_channel_stop():
    x = keras.Input((6,))
    bounds = np.arange(8, dtype="float32")
    made = layers.Dense(2)(ops.clip(layers.Dense(8, name="bounded")(x), -bounds, bounds))
    assert "bounds for each channel" in stays(made, x, "bounded")


def test_channels_that_are_moved_behind_stop():
    x = image()
    made = layers.Dense(2)(layers.Flatten(data_format="channels_first")(layers.Conv2D(6, 3, name="moved")(x)))
    assert "moves channels behind" in stays(made, x, "moved")


def test_a_subclass_with_the_name_of_a_stock_layer_stops():
    class Conv2D(layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True))

    x = image()
    made = head(Conv2D(6, 3)(layers.Conv2D(6, 3, name="before")(x)))
    assert "cannot be followed" in stays(made, x, "before")


class Tied(keras.Model):
    """Uses its table a second time, as the matrix behind its results."""

    def __init__(self):
        super().__init__(name="tied")
        self.table, self.wide, self.narrow = layers.Embedding(30, 8), layers.Dense(16), layers.Dense(8)

    def call(self, tokens):
        hidden = self.narrow(self.wide(self.table(tokens)))
        return ops.matmul(hidden, ops.transpose(self.table.embeddings))


class Placed(layers.Layer):
    """Looks up places, which are constants."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens, self.places = layers.Embedding(30, 8), layers.Embedding(5, 8)

    def call(self, tokens):
        return self.tokens(tokens) + self.places(ops.arange(5))


def test_weights_used_outside_their_layer_are_no_constants():
    model = Tied()
    model(np.zeros((1, 5), "int32"))
    (opaque,) = tfzip.flatten(model).opaque
    assert "tied/embeddings" in opaque[1].replace("embedding/", "")
    with pytest.raises(OptionError, match="uses weights of its layers outside their calls"):
        tfzip.remove_channels(model, 0.5)
    x = keras.Input((5,), dtype="int32")
    model = keras.Model(x, layers.Dense(2)(layers.Dense(8)(Placed(name="placed")(x))))
    ((path, reason),) = tfzip.flatten(model).opaque
    assert path == "placed"
    assert "outside their calls" in reason
    small = tfzip.remove_channels(model, 0.5)
    assert small.count_params() < model.count_params()
    assert [layer for layer in small.layers if isinstance(layer, Placed)]


def permuted(layer):
    x = keras.Input((10, 3))
    y = layer(layers.Permute((2, 1))(layers.Conv1D(8, 3, name="moved")(x)))
    if len(y.shape) == 3:
        y = layers.GlobalAveragePooling1D()(layers.Permute((2, 1))(y))
    return layers.Dense(2)(y), x


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (layers.LSTM(5), "moves along them"),
        (layers.Bidirectional(layers.GRU(5)), "moves along them"),
        (layers.GroupNormalization(2), "statistics run over them"),
    ],
    ids=["recurrent", "both_directions", "groups"],
)
def test_channels_that_stand_where_time_or_pixels_do_stay(layer, reason):
    made, x = permuted(layer)
    assert reason in stays(made, x, "moved")


def test_gates_that_mix_units_stop_them():
    x = keras.Input((10, 3))
    made = layers.Dense(2)(layers.LSTM(6, recurrent_activation="softmax", name="mixed")(x))
    assert "recurrent_activation mixes" in stays(made, x, "mixed")


def test_axes_that_are_merged_with_the_batch_stop():
    x = image()
    y = layers.Dense(12, name="windows")(x)
    made = layers.Dense(3)(ops.reshape(y, (-1, 4, 12)))
    assert "merges axes with the batch" in stays(made, x, "windows")


def test_weights_of_a_normalization_that_something_fixed_uses_too_stay():
    x = keras.Input((5, 8))
    for names in (("inputs", "made"), ("made", "inputs")):
        shared, made = layers.LayerNormalization(), layers.Dense(8, name="made")(x)
        ends = [shared({"inputs": x, "made": made}[name]) for name in names]
        assert "used where channels have to stay" in stays([layers.Dense(2)(one) for one in ends], x, "made")


def test_single_channels_that_lose_their_axis_stay():
    x = image()
    parts = ops.split(layers.Conv2D(4, 3, name="single")(x), 4, axis=-1)
    made = layers.Dense(2)(sum(ops.squeeze(one, -1) for one in parts))
    assert "there is one of them" in stays(made, x, "single")


@pytest.mark.parametrize("joined", [ops.concatenate, ops.stack])
def test_what_is_joined_with_a_constant_stays(joined):
    x = keras.Input(batch_shape=(1, 5, 3))
    y = joined([layers.Dense(8, name="joined")(x), np.ones((1, 5, 8), "float32")], axis=-1)
    assert "joins them with a constant" in stays(layers.Dense(2)(y), x, "joined")


def test_heads_that_a_mask_tells_apart_stay():
    x, mask = keras.Input((6, 8)), keras.Input((4, 6, 6), dtype="bool")
    y = layers.MultiHeadAttention(4, 4, name="heads")(x, x, attention_mask=mask)
    channels = Channels(keras.Model([x, mask], layers.Dense(2)(y)))
    assert channels.barriers == {"heads": "its mask has a part for each of them"}


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.TimeDistributed(layers.Conv2D(4, 3), name="closed"), (3, 8, 8, 2)),
        (layers.RNN([layers.LSTMCell(4), layers.LSTMCell(5)], name="closed"), (6, 3)),
        (layers.Conv2D(8, 3, groups=2, name="closed"), (8, 8, 4)),
    ],
    ids=["distributed", "cells", "grouped"],
)
def test_layers_that_channels_cannot_leave_are_named_at_the_input_too(layer, shape):
    x = keras.Input(shape)
    model = keras.Model(x, layers.Dense(2, name="out")(layer(x)))
    assert list(Channels(model).barriers) == ["closed"]
    with pytest.raises(OptionError, match=r"'closed' \((there is no rule|its groups read)"):
        tfzip.remove_channels(model)


def test_statistics_of_inputs_are_no_barrier():
    x = image()
    model = keras.Model(x, head(layers.Conv2D(4, 3)(layers.Normalization()(x))))
    assert Channels(model).barriers == {}


class Reshaping(keras.Model):
    """Reshapes by the batch size, as people write it."""

    def __init__(self, rest):
        super().__init__()
        self.rest = rest
        self.first, self.second, self.last = layers.Dense(72), layers.Dense(6), layers.Dense(5)

    def call(self, x):
        y = ops.reshape(self.first(x), (ops.shape(x)[0], 6, 12))
        y = self.second(y)
        return self.last(ops.reshape(y, (ops.shape(y)[0], *self.rest)))


@pytest.mark.parametrize("rest", [(36,), (-1,), (6, -1)])
def test_reshapes_by_the_batch_size_are_followed(rest, tmp_path):
    model = Reshaping(rest)
    inputs = np.random.default_rng(0).normal(size=(3, 7)).astype("float32")
    model(inputs)
    channels = Channels(model)
    removed = half(channels)
    small = channels.without(removed)
    assert_equal_outputs(small(inputs), with_zeros(model, channels, removed, inputs))
    assert small.count_params() < model.count_params()
    tfzip.export(small, tmp_path / "small.tflite")


def test_parts_of_one_layer_have_names_of_their_own():
    x = keras.Input((6,))
    first, second = ops.split(layers.Dense(16, name="wide")(x), 2, axis=-1)
    made = layers.Dense(3, name="a")(first) + layers.Dense(3, name="b")(second)
    assert [group.name for group in Channels(keras.Model(x, made)).groups] == ["wide", "wide#2"]


def test_a_shared_layer_at_the_end_keeps_its_name():
    x = keras.Input((8,))
    end = layers.Dense(8, name="end")
    flat = tfzip.rebuild(keras.Model(x, end(layers.Dense(8, name="inner")(end(x)))))
    assert {layer.name for layer in flat.layers} >= {"end", "inner"}
    assert flat.output_names == ["end"]


def test_outputs_keep_their_names():
    def net(name):
        x = keras.Input((6,))
        return keras.Model(x, layers.Dense(2)(layers.Dense(8)(x)), name=name)

    x = keras.Input((6,))
    model = keras.Model(x, [net("cls")(x), net("box")(x)])
    small = tfzip.remove_channels(model)
    assert small.output_names == model.output_names == ["cls", "box"]
    small.compile("sgd", loss={"cls": "mse", "box": "mae"})
    small.fit(np.zeros((4, 6)), {"cls": np.zeros((4, 2)), "box": np.zeros((4, 2))}, verbose=0)
