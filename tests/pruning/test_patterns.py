"""Which weights go together, against loops that anybody can check."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import tfzip
from tfzip.errors import OptionError
from tfzip.pruning.patterns import BlockPattern, ChannelPattern, SemiStructuredPattern

SCORES = np.random.default_rng(0).uniform(size=(3, 3, 8, 12))


@pytest.mark.parametrize("shape", [(1, 4), (2, 3), (8, 1), (4, 12)])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.75])
def test_blocks_with_the_lowest_sums_go(shape, sparsity):
    rows, columns = shape
    sums = {
        (h, w, i, o): SCORES[h, w, i : i + rows, o : o + columns].sum()
        for h in range(3)
        for w in range(3)
        for i in range(0, 8, rows)
        for o in range(0, 12, columns)
    }
    expected = np.ones(SCORES.shape, bool)
    for h, w, i, o in sorted(sums, key=sums.get)[: round(sparsity * len(sums))]:
        expected[h, w, i : i + rows, o : o + columns] = False
    np.testing.assert_array_equal(BlockPattern(shape).mask(SCORES, sparsity), expected)


@given(keep=st.integers(1, 3), of=st.sampled_from([2, 4, 8]), share=st.floats(0, 1))
def test_every_group_of_inputs_keeps_its_best(keep, of, share):
    if keep >= of:
        return
    sparsity = share * (1 - keep / of)
    mask = SemiStructuredPattern(keep, of).mask(SCORES, sparsity)
    groups, scores = (one.reshape(9, 8 // of, of, 12) for one in (mask, SCORES))
    assert groups.sum(axis=2).min() >= keep
    assert np.count_nonzero(~mask) == round(sparsity * mask.size)
    for place in np.ndindex(9, 8 // of, 12):
        kept = groups[place[0], place[1], :, place[2]]
        values = scores[place[0], place[1], :, place[2]]
        if not kept.all():
            assert values[~kept].max() < values[kept].min()


def test_two_of_four_stay_at_half():
    mask = SemiStructuredPattern().mask(SCORES, 0.5)
    assert set(mask.reshape(9, 2, 4, 12).sum(axis=2).ravel()) == {2}


@pytest.mark.parametrize(("shape", "axis"), [((3, 3, 8, 12), 3), ((5, 4), 1), ((3, 3, 1, 8), 3)])
def test_whole_channels_go(shape, axis):
    scores = np.random.default_rng(1).uniform(size=shape)
    sums = np.moveaxis(scores, axis, 0).reshape(shape[axis], -1).sum(axis=1)
    mask = np.moveaxis(ChannelPattern().mask(scores, 0.5), axis, 0).reshape(shape[axis], -1)
    gone = np.argsort(sums)[: round(0.5 * shape[axis])]
    assert not mask[gone].any()
    assert mask[np.setdiff1d(np.arange(shape[axis]), gone)].all()


def network():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, name="head"),
        ]
    )
    model.compile("adam", "mse")
    return model


X = np.random.default_rng(2).normal(size=(64, 8, 8, 4)).astype("float32")
Y = np.random.default_rng(3).normal(size=(64, 4)).astype("float32")


@pytest.mark.parametrize(
    "pattern", [{"name": "block", "shape": [2, 4]}, "semi_structured", "channel"], ids=str
)
def test_patterns_follow_the_schedule_and_survive_files(tmp_path, pattern):
    shares = []
    model = network()
    pruning = tfzip.PruningCallback(0.5, pattern=pattern)
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: shares.append(logs["sparsity"]))
    model.fit(X, Y, epochs=8, batch_size=16, verbose=0, callbacks=[pruning, watch])
    assert shares == sorted(shares)
    assert shares[-1] == 0.5
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    kernel = loaded.get_layer("conv").kernel.numpy()
    zeros = pruning.pattern.mask(np.abs(kernel), 0.5)
    np.testing.assert_array_equal(zeros, kernel != 0)
    again = tfzip.PruningCallback(tfzip.ConstantSchedule(0.5), pattern=pattern)
    loaded.fit(X, Y, verbose=0, callbacks=[again])
    np.testing.assert_array_equal(loaded.get_layer("conv").kernel.numpy() != 0, zeros)


def masked(layer, shape):
    """Returns the largest kernel of a layer after it was pruned by 2 of 4."""
    inputs = keras.Input(shape)
    made = layer(inputs, inputs) if isinstance(layer, layers.MultiHeadAttention) else layer(inputs)
    model = keras.Model(inputs, made)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")
    y = np.zeros((4, *made.shape[1:]), "float32")
    callback = tfzip.PruningCallback(tfzip.ConstantSchedule(0.5), pattern="semi_structured")
    model.fit(x, y, verbose=0, callbacks=[callback])
    return {
        weight.path.rpartition("/")[0].rpartition("/")[2]: weight.numpy() != 0 for weight in model.weights
    }


@pytest.mark.parametrize(
    ("layer", "shape", "inputs_last"),
    [
        (layers.Conv2DTranspose(8, 3, name="made", use_bias=False), (6, 6, 12), lambda kept: kept),
        (layers.EinsumDense("abc,dc->abd", (5, 6), name="made"), (5, 8), lambda kept: kept),
        (layers.Dense(6, name="made", use_bias=False), (8,), lambda kept: kept.T),
    ],
    ids=["transposed", "einsum", "dense"],
)
def test_groups_follow_each_other_along_the_inputs(layer, shape, inputs_last):
    kept = inputs_last(masked(layer, shape)["made"])
    assert set(kept.reshape(-1, 4).sum(axis=1)) == {2}


def test_groups_of_attention_are_along_the_inputs():
    kept = masked(layers.MultiHeadAttention(3, 8, use_bias=False, name="made"), (5, 8))
    for name in ("query", "key", "value"):  # inputs, heads, sizes
        assert set(kept[name].transpose(1, 2, 0).reshape(-1, 4).sum(axis=1)) == {2}
    assert set(kept["attention_output"].reshape(24, 8).T.reshape(-1, 4).sum(axis=1)) == {
        2
    }  # heads, sizes, outputs


def test_outputs_of_one_go_as_a_whole_or_not_at_all():
    inputs = keras.Input((8, 8, 4))
    once = layers.Conv2D(1, 3, name="once")(
        layers.DepthwiseConv2D(3, depth_multiplier=2, name="twice")(inputs)
    )
    model = keras.Model(inputs, once)
    model.compile("sgd", "mse")
    callback = tfzip.PruningCallback(tfzip.ConstantSchedule(0.5), pattern="channel")
    model.fit(X, np.zeros((64, 4, 4, 1)), verbose=0, callbacks=[callback])
    assert np.count_nonzero(model.get_layer("once").kernel) == 3 * 3 * 8
    kept = np.asarray(model.get_layer("twice").kernel) != 0
    assert kept.all((0, 1)).sum() == 4
    assert (~kept).all((0, 1)).sum() == 4


@pytest.mark.parametrize(
    ("pattern", "sparsity", "words"),
    [
        (BlockPattern((1, 5)), 0.5, "'conv/kernel': blocks of 1 by 5 .* 1 by 4"),
        (BlockPattern((3, 4)), 0.5, "2 by 4|4 by 4"),
        (SemiStructuredPattern(2, 3), 0.3, "groups of 3 do not divide 4 inputs.*of=4"),
        (SemiStructuredPattern(4, 7), 0.3, r"groups of 7 do not divide 4 inputs\. Leave the layer out"),
        (SemiStructuredPattern(), 0.8, "at most 0.5"),
    ],
)
def test_what_does_not_divide_a_kernel_is_named_with_the_nearest_that_does(pattern, sparsity, words):
    with pytest.raises(OptionError, match=words):
        network().fit(X, Y, verbose=0, callbacks=[tfzip.PruningCallback(sparsity, pattern=pattern)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: BlockPattern((0, 4)),
        lambda: BlockPattern((4,)),
        lambda: SemiStructuredPattern(4, 4),
        lambda: SemiStructuredPattern(0),
        lambda: SemiStructuredPattern("2"),
        lambda: SemiStructuredPattern(1.5),
        lambda: BlockPattern(4),
        lambda: BlockPattern(None),
        lambda: tfzip.PruningWindow(begin="0"),
        lambda: tfzip.PruningWindow(end=float("nan")),
        lambda: tfzip.shrink(network(), width="a"),
        lambda: tfzip.sparse_advice(network()),
    ],
)
def test_patterns_that_make_no_sense_are_refused(make):
    with pytest.raises(OptionError, match="Received"):
        make()
