import keras
import pytest

from tests.pruning.small import network
from tfzip.errors import OptionError
from tfzip.pruning.kernels import find_kernels


def paths(model, layers=None):
    return {kernel.path: tuple(kernel.variable.shape) for kernel in find_kernels(model, layers)[0]}


def reasons(model, layers=None):
    return {one.path: one.reason for one in find_kernels(model, layers)[1]}


def test_kernels_are_found_and_the_rest_is_listed_with_a_reason():
    model = network()
    assert paths(model) == {
        "conv/kernel": (3, 3, 3, 8),
        "depthwise/kernel": (3, 3, 8, 1),
        "head/kernel": (128, 10),
    }
    assert reasons(model)["norm/gamma"] == "is not a kernel"
    assert len(reasons(model)) + 3 == len(model.weights)


def test_recurrent_attention_and_embedding_kernels_are_found():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 8, name="embed")(tokens)
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = keras.layers.Bidirectional(keras.layers.GRU(5, name="gru"), name="both")(x)
    found = paths(keras.Model(tokens, x))
    assert found == {
        "embed/embeddings": (20, 8),
        "attention/query/kernel": (8, 2, 4),
        "attention/key/kernel": (8, 2, 4),
        "attention/value/kernel": (8, 2, 4),
        "attention/attention_output/kernel": (2, 4, 8),
        "both/forward_gru/gru_cell/kernel": (8, 15),
        "both/forward_gru/gru_cell/recurrent_kernel": (5, 15),
        "both/backward_gru/gru_cell/kernel": (8, 15),
        "both/backward_gru/gru_cell/recurrent_kernel": (5, 15),
    }


def test_a_frozen_kernel_and_one_not_selected_are_left_out_with_their_reasons():
    model = network()
    model.get_layer("conv").trainable = False
    assert "frozen" in reasons(model)["conv/kernel"]
    assert reasons(model, "head")["depthwise/kernel"] == "is not selected by layers="
    assert list(paths(model, "head")) == ["head/kernel"]


def test_a_shared_layer_is_found_once():
    first, second = keras.Input((4,)), keras.Input((4,))
    shared = keras.layers.Dense(3, name="shared")
    inner = keras.Sequential([keras.Input((4,)), shared], name="inner")
    model = keras.Model([first, second], [inner(first), shared(second)])
    assert len(paths(model)) == 1


def test_a_kernel_beside_sublayers_is_listed():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.inner = keras.layers.Dense(4, name="inner")

        def build(self, shape):
            self.inner.build(shape)
            self.own = self.add_weight(shape=(4, 4), name="own_kernel")

        def call(self, x):
            return keras.ops.matmul(self.inner(x), self.own)

    model = keras.Sequential([keras.Input((4,)), Block()])
    assert list(paths(model)) == ["block/inner/kernel"]
    assert "holds other layers" in reasons(model)["block/own_kernel"]


def test_where_the_selected_layer_is_frozen_the_error_says_so_first():
    model = network()
    model.get_layer("head").trainable = False
    with pytest.raises(OptionError) as caught:
        find_kernels(model, "head")
    assert str(caught.value).endswith(
        "can be pruned: head/kernel is frozen (trainable=False), so it could not make up for the zeros;"
        " head/bias is not a kernel; conv/kernel is not selected by layers=."
    )


def test_a_model_with_nothing_to_prune_says_why():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="norm")])
    with pytest.raises(OptionError, match="Nothing in model .* can be pruned: norm/gamma is not a kernel"):
        find_kernels(model)
    frozen = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, use_bias=False, name="head")])
    frozen.trainable = False
    with pytest.raises(OptionError, match="frozen"):
        find_kernels(frozen)
