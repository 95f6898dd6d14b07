"""Small models, each with one way for channels to pass, and what has to be left of it."""

import keras
import numpy as np
from keras import layers, ops

MODELS = {}


def model(function):
    """Registers a function that returns inputs and outputs under its name."""
    MODELS[function.__name__] = function
    return function


def built(name, seed=0):
    """Returns a model of the zoo with weights that are all different."""
    keras.utils.clear_session()  # so that names begin at the same number again
    keras.utils.set_random_seed(seed)
    made = keras.Model(*MODELS[name](), name=name)
    rng = np.random.default_rng(seed)
    for variable in made.weights:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        if "variance" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        else:
            variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    return made


def examples(made, batch=2, seed=1):
    """Returns inputs for a model."""
    rng = np.random.default_rng(seed)
    arrays = [
        rng.normal(size=(batch, *(size or 6 for size in tensor.shape[1:]))).astype("float32")
        if keras.backend.is_float_dtype(tensor.dtype)
        else rng.integers(0, 5, (batch, *tensor.shape[1:])).astype(tensor.dtype)
        for tensor in made.inputs
    ]
    return arrays if len(arrays) > 1 else arrays[0]


def image():
    return keras.Input((8, 8, 3))


def head(x):
    return layers.Dense(4)(layers.GlobalAveragePooling2D()(x))


@model
def chain():
    x = image()
    y = layers.Conv2D(8, 3, activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False)(y))
    return x, head(layers.Activation("hard_silu")(y))


@model
def flattened():
    x = image()
    y = layers.MaxPooling2D()(layers.Conv2D(6, 3)(x))
    return x, layers.Dense(4)(layers.Dense(10, activation="tanh")(layers.Flatten()(y)))


@model
def flattened_after_moving_channels():
    x = image()
    y = layers.Permute((3, 1, 2))(layers.Conv2D(6, 3)(x))
    return x, layers.Dense(4)(layers.Flatten()(y))


@model
def residual():
    x = image()
    y = layers.Conv2D(8, 3, padding="same")(x)
    for _ in range(2):
        z = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(y))
        y = layers.ReLU()(layers.Add()([y, layers.Conv2D(8, 3, padding="same")(layers.ReLU()(z))]))
    return x, head(y)


@model
def concatenated_with_the_input():
    x = image()
    return x, head(layers.Conv2D(5, 3)(layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same")(x)])))


@model
def residual_with_the_input():
    x = image()
    y = layers.Add()([x, layers.Conv2D(3, 3, padding="same")(layers.Conv2D(6, 1)(x))])
    return x, head(layers.Conv2D(6, 3)(y))


@model
def squeezed_and_excited():
    x = image()
    y = layers.Conv2D(8, 3, activation="swish")(x)
    z = layers.GlobalAveragePooling2D(keepdims=True)(y)
    z = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(z))
    return x, head(layers.Conv2D(6, 1)(y * z))


@model
def concatenated():
    x = image()
    branches = [layers.Conv2D(n, 3, padding="same")(x) for n in (4, 6)]
    y = layers.Concatenate()([*branches, layers.Conv2D(5, 1)(layers.MaxPooling2D(3, 1, padding="same")(x))])
    return x, head(layers.Conv2D(5, 3)(layers.BatchNormalization()(y)))


@model
def concatenated_rows():
    x = image()
    y = layers.Concatenate(axis=1)([layers.Conv2D(4, 3)(x), layers.Conv2D(4, 3)(x)])
    return x, head(layers.Conv2D(5, 3)(y))


@model
def split():
    x = image()
    a, b, c = ops.split(layers.Conv2D(12, 3)(x), [4, 6], axis=-1)
    return x, head(layers.Concatenate()([layers.Conv2D(4, 1)(c), layers.Conv2D(4, 1)(a), b]))


@model
def sliced():
    x = image()
    y = layers.Conv2D(10, 3)(x)
    return x, head(layers.Conv2D(4, 1)(ops.concatenate([y[..., :4], y[..., 4:] ** 2], axis=-1)))


@model
def gated():
    x = image()
    a, b = ops.split(layers.Conv2D(12, 3)(x), 2, axis=-1)
    return x, head(a * ops.sigmoid(b))


@model
def grouped():
    x = image()
    y = layers.ReLU()(layers.Conv2D(12, 3)(x))
    y = layers.ReLU()(layers.Conv2D(8, 3, groups=4)(y))
    return x, head(layers.Conv2D(6, 1)(y))


@model
def grouped_twice():
    x = image()
    y = layers.Conv2D(8, 3, groups=4)(layers.Conv2D(8, 1)(x))
    return x, head(layers.Conv2D(16, 1, groups=2)(y))


@model
def depthwise():
    x = image()
    y = layers.DepthwiseConv2D(3, depth_multiplier=2)(layers.Conv2D(6, 3)(x))
    return x, head(layers.Conv2D(6, 1)(layers.BatchNormalization()(y)))


@model
def separable():
    x = image()
    y = layers.SeparableConv2D(8, 3, depth_multiplier=2)(layers.Conv2D(6, 3)(x))
    return x, head(y)


@model
def transposed():
    x = image()
    y = layers.Conv2DTranspose(6, 3, 2)(layers.Conv2D(8, 3)(x))
    return x, head(layers.BatchNormalization()(y))


@model
def one_dimension():
    x = keras.Input((16, 3))
    y = layers.DepthwiseConv1D(3)(layers.Conv1D(6, 3, padding="causal")(x))
    y = layers.Conv1DTranspose(4, 3)(layers.SeparableConv1D(8, 3)(y))
    return x, layers.Dense(3)(layers.GlobalMaxPooling1D()(layers.UpSampling1D()(y)))


@model
def three_dimensions():
    x = keras.Input((6, 6, 6, 2))
    y = layers.AveragePooling3D(2)(layers.Conv3D(6, 3, activation="elu")(x))
    y = layers.Conv3DTranspose(4, 3)(layers.ZeroPadding3D()(y))
    return x, layers.Dense(3)(layers.GlobalAveragePooling3D()(y))


@model
def geometry():
    x = image()
    y = layers.Cropping2D(1)(layers.ZeroPadding2D(2)(layers.Conv2D(6, 3)(x)))
    y = layers.Resizing(12, 12)(layers.UpSampling2D(interpolation="bilinear")(y))
    return x, head(layers.Conv2D(4, 3)(layers.Dropout(0.2)(y)))


@model
def channels_first():
    x = keras.Input((3, 16))
    y = layers.Permute((2, 1))(x)
    y = layers.Permute((2, 1))(layers.Conv1D(6, 3)(y))
    return x, layers.Dense(4)(ops.mean(layers.BatchNormalization(axis=1)(y), axis=-1))


@model
def shuffled():
    x = image()
    y = layers.Conv2D(12, 3)(x)
    y = ops.reshape(y, (-1, 6, 6, 2, 6))
    y = ops.reshape(ops.transpose(y, (0, 1, 2, 4, 3)), (-1, 6, 6, 12))
    return x, head(layers.Conv2D(6, 1)(layers.DepthwiseConv2D(3)(y)))


@model
def pixel_shuffled():
    x = image()
    y = layers.Conv2D(4 * 6, 3)(x)
    y = layers.Reshape((6, 6, 2, 2, 6))(y)
    y = layers.Reshape((12, 12, 6))(layers.Permute((1, 3, 2, 4, 5))(y))
    return x, head(layers.Conv2D(5, 3)(y))


@model
def depth_to_space():
    x = image()
    y = ops.nn.depth_to_space(layers.Conv2D(4 * 6, 3)(x), 2)
    y = ops.nn.space_to_depth(layers.Conv2D(5, 3, padding="same")(y), 2)
    return x, head(layers.Conv2D(4, 1)(y))


@model
def layer_normalized():
    x = keras.Input((6, 5))
    y = layers.Dense(8)(x)
    y = y + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(y)))
    return x, layers.Dense(3)(layers.LayerNormalization()(y)[:, 0])


@model
def root_mean_square_normalized():
    x = keras.Input((6, 5))
    y = layers.RMSNormalization()(layers.Dense(8)(x))
    return x, layers.Dense(3)(layers.UnitNormalization()(layers.Dense(6)(y)))


@model
def group_normalized():
    x = image()
    y = layers.GroupNormalization(4)(layers.Conv2D(12, 3)(x))
    return x, head(layers.GroupNormalization(-1)(layers.Conv2D(6, 3)(layers.ReLU()(y))))


@model
def attended():
    x = keras.Input((6, 8))
    y = layers.Dense(12)(x)
    y = y + layers.MultiHeadAttention(4, 3)(y, y)
    z = layers.GroupQueryAttention(4, 4, 2)(y, y)
    z = layers.MultiHeadAttention(2, 4, value_dim=5, output_shape=6)(z, y)
    return x, layers.Dense(3)(layers.GlobalAveragePooling1D()(z))


@model
def attended_by_hand():
    x = keras.Input((6, 8))
    query, key, value = (ops.reshape(layers.Dense(12)(x), (-1, 6, 2, 6)) for _ in range(3))
    scores = ops.softmax(ops.einsum("bqhd,bkhd->bhqk", query, key) / 6**0.5, axis=-1)
    y = ops.reshape(ops.einsum("bhqk,bkhd->bqhd", scores, value), (-1, 6, 12))
    return x, layers.Dense(3)(y)


@model
def attended_by_products():
    x = keras.Input((6, 8))
    query, key, value = (layers.Dense(n)(x) for n in (10, 10, 6))
    scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))), axis=-1)
    return x, layers.Dense(3)(ops.matmul(scores, value) + layers.Attention()([query, value, key]))


@model
def attended_with_masks():
    x = keras.Input((6,), dtype="int32")
    known = layers.Embedding(5, 8, mask_zero=True)(x)
    query, value = layers.Dense(10)(known), layers.Dense(10)(known)
    return x, layers.Dense(3, name="out")(layers.Attention()([query, value]))


@model
def noise_of_a_shape():
    x = keras.Input((5, 3))
    y = layers.Dropout(0.5, noise_shape=(None, 1, 8))(layers.Dense(8)(x))
    return x, layers.Dense(2, name="out")(layers.LayerNormalization()(inputs=y))


@model
def einsum():
    x = keras.Input((6, 8))
    y = layers.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="de")(x)
    y = layers.EinsumDense("abde,dec->abc", (None, 6), bias_axes="c", activation="relu")(y)
    return x, layers.EinsumDense("...c,cd->...d", 3, bias_axes="d")(y)


@model
def embedded():
    x = keras.Input((7,), dtype="int32")
    y = layers.Embedding(5, 8)(x)
    return x, layers.Dense(3)(layers.Conv1D(6, 3)(y))


@model
def recurrent():
    x = keras.Input((7, 4))
    y = layers.LSTM(6, return_sequences=True)(x)
    y = layers.GRU(5, return_sequences=True)(y)
    y = layers.Bidirectional(layers.GRU(4, return_sequences=True, reset_after=False))(y)
    return x, layers.Dense(3)(
        layers.SimpleRNN(6)(layers.Bidirectional(layers.LSTM(4, return_sequences=True), "sum")(y))
    )


@model
def shared():
    x, y = image(), image()
    stem, tower = (
        layers.Conv2D(6, 3),
        keras.Sequential([layers.Conv2D(5, 3), layers.GlobalAveragePooling2D()]),
    )
    left, right = tower(stem(x)), tower(stem(y))
    return [x, y], layers.Dense(2)(ops.abs(left - right))


@model
def constants():
    x = image()
    y = layers.Conv2D(6, 3)(x) * np.arange(1, 7, dtype="float32") + 1.0
    return x, head(layers.PReLU(shared_axes=[1, 2])(y))


@model
def several_outputs():
    x = image()
    y = layers.Conv2D(6, 3, name="returned")(layers.Conv2D(8, 3)(x))
    return x, {"features": y, "scores": head(layers.Conv2D(4, 1)(y))}


@model
def reduced():
    x = image()
    y = ops.sum(layers.Conv2D(6, 3)(x), axis=-1, keepdims=True)
    z = ops.max(layers.Conv2D(6, 3)(x), axis=(1, 2))
    return x, layers.Dense(3)(z) + ops.mean(y, axis=(1, 2))


@model
def masked_tokens():
    x = keras.Input((6,), dtype="int32")
    y = layers.Embedding(5, 8, mask_zero=True)(x)
    z = layers.LayerNormalization()(y)
    z = y + layers.MultiHeadAttention(2, 4)(z, z)
    z = layers.Dense(6)(z) + layers.Bidirectional(layers.LSTM(3, return_sequences=True))(y)
    return x, layers.Dense(3)(layers.Flatten()(z))


@model
def begun_with_states():
    x, other = keras.Input((5, 4)), keras.Input((3, 4))
    *_, h, c = layers.LSTM(6, return_state=True)(x)
    return [x, other], layers.Dense(3)(layers.LSTM(6)(other, initial_state=[h, c]))


@model
def called_twice_without_weights():
    x = keras.Input((6,))
    fold, norm = layers.Reshape((4, 8)), layers.LayerNormalization(center=False, scale=False)
    y, z = (norm(layers.Conv1D(size, 3)(fold(layers.Dense(32)(x)))) for size in (4, 6))
    return x, layers.Dense(3)(layers.Flatten()(layers.Concatenate()([y, z])))


@model
def begun_with_arrays():
    x = keras.Input((7,), dtype="int32")
    table = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
    y = layers.Embedding(5, 8, embeddings_initializer=keras.initializers.Constant(table))(x)
    y = layers.Conv1D(6, 3, bias_initializer=keras.initializers.Constant(np.arange(6.0)))(y)
    return x, layers.Dense(3)(layers.Flatten()(y))
