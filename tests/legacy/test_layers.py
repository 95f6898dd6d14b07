"""One layer at a time: the Keras 3 model computes what the Keras 2 model does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.legacy.peer import assert_same, sequential, shake
from tfzip import from_tf_keras
from tfzip.errors import ModelError

L = tf_keras.layers
VECTOR, SEQUENCE, IMAGE, VOLUME, FRAMES = (6,), (7, 4), (9, 8, 4), (5, 6, 7, 3), (4, 7, 6, 3)

LAYERS = {
    "dense_swish": (VECTOR, lambda: L.Dense(5, activation="swish")),
    "dense_tf_relu6": (VECTOR, lambda: L.Dense(5, activation=tf.nn.relu6)),
    "dense_leaky_layer": (VECTOR, lambda: L.Dense(5, activation=L.LeakyReLU(0.2))),
    "dense_old_hard_sigmoid": (VECTOR, lambda: L.Dense(5, activation="hard_sigmoid")),
    "activation_old_hard_sigmoid": (VECTOR, lambda: L.Activation("hard_sigmoid")),
    "activation_gelu": (VECTOR, lambda: L.Activation("gelu")),
    "activation_softmax": (VECTOR, lambda: L.Activation("softmax")),
    "conv1d_causal": (SEQUENCE, lambda: L.Conv1D(3, 3, padding="causal", dilation_rate=2)),
    "conv2d_groups": (IMAGE, lambda: L.Conv2D(6, 3, strides=2, padding="same", groups=2)),
    "conv3d": (VOLUME, lambda: L.Conv3D(2, 2)),
    "conv1d_transpose": (SEQUENCE, lambda: L.Conv1DTranspose(3, 3, strides=2)),
    "conv2d_transpose": (
        IMAGE,
        lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1),
    ),
    "conv3d_transpose": (VOLUME, lambda: L.Conv3DTranspose(2, 2)),
    "depthwise1d": (SEQUENCE, lambda: L.DepthwiseConv1D(3)),
    "depthwise2d": (IMAGE, lambda: L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")),
    "separable1d": (SEQUENCE, lambda: L.SeparableConv1D(3, 3)),
    "separable2d": (IMAGE, lambda: L.SeparableConv2D(3, 3, padding="same")),
    "batch_normalization": (IMAGE, lambda: L.BatchNormalization()),
    "batch_normalization_axis": (IMAGE, lambda: L.BatchNormalization(axis=2, scale=False)),
    "batch_normalization_frozen": (VECTOR, lambda: L.BatchNormalization(trainable=False)),
    "layer_normalization": (SEQUENCE, lambda: L.LayerNormalization()),
    "layer_normalization_axes": (SEQUENCE, lambda: L.LayerNormalization(axis=[1, 2])),
    "group_normalization": (IMAGE, lambda: L.GroupNormalization(2)),
    "unit_normalization": (SEQUENCE, lambda: L.UnitNormalization()),
    "normalization_given": (VECTOR, lambda: L.Normalization(mean=[1.0] * 6, variance=[4.0] * 6)),
    "rescaling": (IMAGE, lambda: L.Rescaling(1 / 127.5, offset=-1)),
    "resizing": (IMAGE, lambda: L.Resizing(5, 12)),
    "resizing_nearest": (IMAGE, lambda: L.Resizing(5, 12, interpolation="nearest")),
    "center_crop": (IMAGE, lambda: L.CenterCrop(5, 4)),
    "random_flip": (IMAGE, lambda: L.RandomFlip()),
    "random_rotation": (IMAGE, lambda: L.RandomRotation(0.1)),
    "random_contrast": (IMAGE, lambda: L.RandomContrast(0.1)),
    "re_lu_capped": (VECTOR, lambda: L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)),
    "leaky_re_lu": (VECTOR, lambda: L.LeakyReLU(0.4)),
    "elu": (VECTOR, lambda: L.ELU(0.7)),
    "p_re_lu": (IMAGE, lambda: L.PReLU(shared_axes=[1, 2])),
    "thresholded_re_lu": (VECTOR, lambda: L.ThresholdedReLU(0.3)),
    "softmax": (IMAGE, lambda: L.Softmax(axis=1)),
    "max_pooling1d": (SEQUENCE, lambda: L.MaxPooling1D(2)),
    "max_pooling2d": (IMAGE, lambda: L.MaxPooling2D(3, strides=2, padding="same")),
    "average_pooling2d": (IMAGE, lambda: L.AveragePooling2D(3, strides=2, padding="same")),
    "average_pooling3d": (VOLUME, lambda: L.AveragePooling3D(2)),
    "global_average": (IMAGE, lambda: L.GlobalAveragePooling2D(keepdims=True)),
    "global_max": (SEQUENCE, lambda: L.GlobalMaxPooling1D()),
    "flatten": (IMAGE, lambda: L.Flatten()),
    "reshape": (IMAGE, lambda: L.Reshape((-1, 4))),
    "permute": (IMAGE, lambda: L.Permute((3, 1, 2))),
    "repeat_vector": (VECTOR, lambda: L.RepeatVector(3)),
    "cropping": (IMAGE, lambda: L.Cropping2D(((1, 0), (2, 1)))),
    "zero_padding": (IMAGE, lambda: L.ZeroPadding2D(((0, 1), (0, 1)))),
    "zero_padding3d": (VOLUME, lambda: L.ZeroPadding3D(1)),
    "up_sampling1d": (SEQUENCE, lambda: L.UpSampling1D(2)),
    "up_sampling2d": (IMAGE, lambda: L.UpSampling2D(2, interpolation="bilinear")),
    "dropout": (VECTOR, lambda: L.Dropout(0.5)),
    "spatial_dropout": (IMAGE, lambda: L.SpatialDropout2D(0.5)),
    "gaussian_noise": (VECTOR, lambda: L.GaussianNoise(0.5)),
    "alpha_dropout": (VECTOR, lambda: L.AlphaDropout(0.5)),
    "activity_regularization": (VECTOR, lambda: L.ActivityRegularization(l2=0.1)),
    "einsum_dense": (SEQUENCE, lambda: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")),
    "simple_rnn": (SEQUENCE, lambda: L.SimpleRNN(5)),
    "lstm": (SEQUENCE, lambda: L.LSTM(5, return_sequences=True)),
    "lstm_backwards": (SEQUENCE, lambda: L.LSTM(5, go_backwards=True, unroll=True)),
    "gru": (SEQUENCE, lambda: L.GRU(5)),
    "gru_reset_before": (SEQUENCE, lambda: L.GRU(5, reset_after=False)),
    "bidirectional": (SEQUENCE, lambda: L.Bidirectional(L.LSTM(5), merge_mode="sum")),
    "bidirectional_two_cells": (
        SEQUENCE,
        lambda: L.Bidirectional(L.GRU(5), backward_layer=L.GRU(5, go_backwards=True)),
    ),
    "rnn_of_cells": (SEQUENCE, lambda: L.RNN([L.LSTMCell(5), L.GRUCell(4)])),
    "rnn_of_a_cell": (SEQUENCE, lambda: L.RNN(L.SimpleRNNCell(5), return_sequences=True)),
    "conv_lstm": (FRAMES, lambda: L.ConvLSTM2D(2, 3, padding="same", recurrent_activation="sigmoid")),
    "time_distributed": (SEQUENCE, lambda: L.TimeDistributed(L.Dense(3, activation="relu"))),
    "time_distributed_norm": (FRAMES, lambda: L.TimeDistributed(L.BatchNormalization())),
    "masking_before_lstm": (SEQUENCE, lambda: tf_keras.Sequential([L.Masking(0.0), L.LSTM(5)])),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same_in_keras_3(name):
    shape, make = LAYERS[name]
    old = sequential(shape, make())
    new = from_tf_keras(old)
    assert isinstance(new, keras.Model)
    assert_same(old, new)


@pytest.mark.parametrize("mask_zero", [False, True])
def test_an_embedding_looks_up_the_same_rows_and_masks_the_same_steps(mask_zero):
    old = sequential((6,), L.Embedding(9, 4, mask_zero=mask_zero), L.LSTM(3), dtype="int32")
    assert_same(old, from_tf_keras(old))


def test_category_encoding_and_discretization_count_the_same():
    old = sequential((6,), L.Discretization([-1.0, 0.0, 1.0]), L.CategoryEncoding(4, output_mode="count"))
    assert_same(old, from_tf_keras(old))


def test_adapted_normalization_keeps_its_statistics():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(3).normal(5.0, 3.0, (50, 6)))
    old = tf_keras.Sequential([L.Input((6,)), layer])
    assert_same(old, from_tf_keras(old))


@pytest.mark.parametrize(
    "merge",
    [
        L.Add(),
        L.Subtract(),
        L.Multiply(),
        L.Average(),
        L.Maximum(),
        L.Minimum(),
        L.Concatenate(axis=1),
        L.Dot(1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_merge_of_two_inputs_computes_the_same(merge):
    a, b = L.Input((6,)), L.Input((6,))
    old = tf_keras.Model([a, b], merge([a, b]))
    assert_same(old, from_tf_keras(old))


@pytest.mark.parametrize(
    "attention", [L.Attention(use_scale=True), L.AdditiveAttention()], ids=lambda layer: type(layer).__name__
)
def test_attention_computes_the_same(attention):
    query, value = L.Input((5, 4)), L.Input((6, 4))
    old = shake(tf_keras.Model([query, value], attention([query, value])))
    assert_same(old, from_tf_keras(old))


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention_computes_the_same(causal):
    query, value = L.Input((5, 4)), L.Input((6, 4))
    layer = L.MultiHeadAttention(2, key_dim=3, value_dim=5, output_shape=7)
    old = shake(tf_keras.Model([query, value], layer(query, value, use_causal_mask=causal)))
    assert_same(old, from_tf_keras(old))


def test_initializers_regularizers_and_constraints_survive():
    old = sequential(
        VECTOR,
        L.Dense(
            5,
            kernel_initializer=tf_keras.initializers.HeNormal(),
            kernel_regularizer=tf_keras.regularizers.L2(0.01),
            bias_constraint=tf_keras.constraints.NonNeg(),
        ),
    )
    dense = from_tf_keras(old).layers[0]
    assert isinstance(dense.kernel_initializer, keras.initializers.HeNormal)
    assert dense.kernel_regularizer.l2 == pytest.approx(0.01)
    assert isinstance(dense.bias_constraint, keras.constraints.NonNeg)


def test_mixed_precision_survives():
    old = sequential(VECTOR, L.Dense(5, dtype=tf_keras.mixed_precision.Policy("mixed_float16")))
    new = from_tf_keras(old)
    assert new.layers[0].dtype_policy.name == "mixed_float16"
    assert_same(old, new, tolerance=5e-3)


def test_frozen_layers_stay_frozen():
    old = sequential(VECTOR, L.Dense(5, trainable=False), L.Dense(2))
    assert [layer.trainable for layer in from_tf_keras(old).layers] == [False, True]


class Twice(tf_keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Twice(name="mine"), "'mine' is a Twice"),
        (lambda: L.LocallyConnected1D(2, 3, name="local"), "'local' is a LocallyConnected1D"),
        (
            lambda: L.LSTM(3, recurrent_activation="hard_sigmoid", name="old"),
            "'old' .*recurrent_activation='hard_sigmoid'",
        ),
        (lambda: L.LSTM(3, time_major=True, name="major"), "'major' .* time_major=True"),
        (
            lambda: L.Dense(3, name="ring", kernel_constraint=tf_keras.constraints.RadialConstraint()),
            "'ring' has kernel_constraint='RadialConstraint'",
        ),
        (lambda: L.Dense(3, activation=lambda x: x, name="own"), "'own' .* activation='<lambda>'"),
    ],
    ids=["custom", "locally_connected", "hard_sigmoid", "time_major", "constraint", "function"],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
def test_a_layer_without_counterpart_is_named(make, words):
    shape = (9, 9, 3) if words.startswith("'ring'") else SEQUENCE
    with pytest.raises(ModelError, match=words):
        from_tf_keras(tf_keras.Sequential([L.Input(shape), make()]))
