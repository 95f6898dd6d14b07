"""Students cut from their teachers: fewer blocks, fewer channels."""

import random

import keras
import numpy as np
import pytest

import tfzip
from tfzip.errors import ModelError, OptionError
from tfzip.graph.flatten import flatten
from tfzip.graph.residual import residual_blocks

layers = keras.layers


def residual(blocks=3, width=8, stages=2, bypass=True):
    """Returns a residual network whose convolutions are named by stage and block."""
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(width, 3, padding="same", name="stem")(x)
    for stage in range(stages):
        if stage:
            x = layers.Conv2D(width << stage, 3, 2, padding="same", name=f"down{stage}")(x)
        for block in range(blocks):
            y = layers.Conv2D(width << stage, 3, padding="same", activation="relu", name=f"a{stage}{block}")(
                x
            )
            y = layers.Conv2D(width << stage, 3, padding="same", name=f"b{stage}{block}")(y)
            x = layers.Activation("relu")(layers.Add(name=f"add{stage}{block}")([x, y])) if bypass else y
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x)))


X = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)


def names(model):
    return {layer.name for layer in model.layers if layer.name[0] in "ab" and layer.name[1:].isdigit()}


def test_a_shallower_model_computes_what_is_left_of_the_blocks():
    model = residual()
    small = tfzip.shrink(model, depth=0.67)
    assert names(small) == {f"{kind}{stage}{block}" for kind in "ab" for stage in (0, 1) for block in (0, 2)}
    by_hand = residual(blocks=2)
    for layer in by_hand.layers:
        source = layer.name
        if source in names(by_hand) and source.endswith("1"):
            source = source[:-1] + "2"
        if layer.weights:
            layer.set_weights(model.get_layer(source).get_weights())
    np.testing.assert_allclose(small(X), by_hand(X), rtol=1e-5, atol=1e-6)
    assert len(model.layers) == len(residual().layers)


def test_depth_zero_leaves_what_changes_the_shape():
    small = tfzip.shrink(residual(), depth=0.0)
    assert names(small) == set()
    assert {"stem", "down1", "head"} <= {layer.name for layer in small.layers}


def test_width_and_depth_together_make_a_student_that_learns():
    model = residual()
    small = tfzip.shrink(model, width=0.5, depth=0.34)
    assert small.get_layer("stem").filters == 4
    assert len(names(small)) == 4
    distiller = tfzip.Distiller(model, small, ["kd", "hint"])
    distiller.compile("adam")
    history = distiller.fit(X, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_weights_are_inherited_or_drawn():
    model = residual()
    kernel = model.get_layer("stem").kernel
    kept = tfzip.shrink(model, depth=0.5).get_layer("stem").kernel
    np.testing.assert_array_equal(kept, kernel)
    first, again, other = (
        np.asarray(tfzip.shrink(model, depth=0.5, inherit=False, seed=seed).get_layer("stem").kernel)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, kernel)
    assert not np.array_equal(first, other)


def test_transformers_written_as_layers_lose_blocks_of_attention_and_of_dense_layers():
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
            self.attention = layers.MultiHeadAttention(2, 4)
            self.dense = [layers.Dense(16, "gelu"), layers.Dense(8)]

        def call(self, x):
            y = self.norms[0](x)
            x = x + self.attention(y, y)
            return x + self.dense[1](self.dense[0](self.norms[1](x)))

    inputs = keras.Input((5, 8))
    x = inputs
    for index in range(4):
        x = Block(name=f"block{index}")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    assert len(residual_blocks(flatten(model))) == 8
    small = tfzip.shrink(model, depth=0.5)
    kinds = [type(layer).__name__ for layer in small.layers]
    assert kinds.count("MultiHeadAttention") + (kinds.count("Dense") - 1) // 2 == 4


def test_long_ways_around_residual_blocks_and_projections_stay():
    x = inputs = keras.Input((8, 8, 4))
    for _ in range(2):
        x = layers.Add()([x, layers.Conv2D(4, 3, padding="same")(x)])
    around = layers.Add(name="around")([inputs, x])
    projected = layers.Add(name="projected")(
        [layers.Conv2D(4, 1)(around), layers.Conv2D(4, 3, padding="same")(around)]
    )
    blocks = residual_blocks(flatten(keras.Model(inputs, projected)))
    assert len(blocks) == 2
    assert not {"around", "projected"} & {block.path for block in blocks}


def test_a_branch_that_is_read_elsewhere_stays():
    inputs = keras.Input((4,))
    y = layers.Dense(4)(inputs)
    model = keras.Model(inputs, [layers.Add()([inputs, y]), y])
    assert residual_blocks(flatten(model)) == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: tfzip.shrink(residual()), OptionError),
        (lambda: tfzip.shrink(residual(), width=0.0), OptionError),
        (lambda: tfzip.shrink(residual(), depth=-0.1), OptionError),
        (lambda: tfzip.shrink(residual(bypass=False), depth=0.5), ModelError),
    ],
)
def test_bad_shares_are_one_line(make, kind):
    with pytest.raises(kind) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_weights_that_are_drawn_leave_the_callers_generators_alone():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    weights, next_numbers = [], set()
    for own_seed in (1, 2):
        keras.utils.set_random_seed(own_seed)
        weights.append(tfzip.shrink(model, 0.5, inherit=False, seed=3).get_weights())
        next_numbers.add(random.random())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(next_numbers) == 2
