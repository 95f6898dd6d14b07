"""Models as users write them: the inputs of the flatten, rebuild and profile tests."""

import functools

import keras
import numpy as np
from keras import layers, ops


class ConvNorm(layers.Layer):
    def __init__(self, width, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(width, 3, stride, padding="same", use_bias=False, name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x, training=None):
        return self.norm(self.conv(x), training=training)


class Residual(layers.Layer):
    def __init__(self, width, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.steps = [ConvNorm(width, stride, name="step"), ConvNorm(width, name="step")]
        self.project = layers.Conv2D(width, 1, stride, name="project") if stride > 1 else None

    def call(self, x, training=False):
        y = ops.relu(self.steps[0](x, training=training))
        y = self.steps[1](y, training=training)
        return ops.relu(y + (x if self.project is None else self.project(x)))


class ResidualNet(keras.Model):
    """Custom residual layers in lists, with the same names in different blocks."""

    def __init__(self):
        super().__init__(name="residual_net")
        self.stem = ConvNorm(4, name="stem")
        self.stages = [[Residual(4, name="block")], [Residual(8, 2, name="block"), Residual(8, name="block")]]
        self.drop = layers.Dropout(0.3, name="drop")
        self.head = layers.Dense(5, name="head")

    def call(self, x, training=None):
        x = ops.relu(self.stem(x, training=training))
        for block in [block for stage in self.stages for block in stage]:
            x = block(x, training=training)
        return self.head(self.drop(ops.mean(x, axis=(1, 2)), training=training))


class Tower(keras.Model):
    def __init__(self):
        super().__init__(name="tower")
        self.conv = layers.Conv2D(3, 3, activation="relu", name="conv")
        self.fc = layers.Dense(4, name="fc")

    def call(self, x):
        return self.fc(ops.mean(self.conv(x), axis=(1, 2)))


class Siamese(keras.Model):
    """A shared tower used twice, from a list of inputs."""

    def __init__(self):
        super().__init__(name="siamese")
        self.tower = Tower()

    def call(self, inputs):
        left, right = inputs
        difference = self.tower(left) - self.tower(right)
        return ops.sqrt(ops.sum(difference**2, axis=-1) + 1e-6)


class Encoder(layers.Layer):
    def __init__(self, width, heads, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(heads, width // heads, name="mha")
        self.norms = [layers.LayerNormalization(name="norm"), layers.LayerNormalization(name="norm")]
        self.mlp = keras.Sequential(
            [layers.Dense(2 * width, activation="gelu", name="up"), layers.Dense(width, name="down")],
            name="mlp",
        )

    def call(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y)
        return x + self.mlp(self.norms[1](x))


class Scale(layers.Layer):
    """Loses the mask in its operations; Keras hands the input's mask on to the result."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        return ops.multiply(x, 2.0) + 1.0


class TextNet(keras.Model):
    def __init__(self):
        super().__init__(name="text_net")
        self.embed = layers.Embedding(11, 6, mask_zero=True, name="embed")
        self.scale = Scale(name="scale")
        self.lstm = layers.LSTM(5, name="lstm")
        self.head = layers.Dense(2, name="head")

    def call(self, tokens):
        return self.head(self.lstm(self.scale(self.embed(tokens))))


def residual():
    model = ResidualNet()
    model(np.zeros((1, 8, 8, 3), "float32"))
    return model


def siamese():
    model = Siamese()
    model([np.zeros((1, 8, 8, 1), "float32")] * 2)
    return model


def text():
    model = TextNet()
    model(np.zeros((1, 7), "int32"))
    return model


def nested_mobilenet():
    """A frozen nested application with two heads."""
    base = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, name="base"
    )
    base.trainable = False
    x = keras.Input((32, 32, 3), name="image")
    y = base(layers.Rescaling(1 / 127.5, -1, name="scale")(x), training=False)
    y = layers.GlobalAveragePooling2D(name="pool")(y)
    outputs = [layers.Dense(3, name="kind")(y), layers.Dense(1, activation="sigmoid", name="valid")(y)]
    return keras.Model(x, outputs, name="nested_mobilenet")


def vit():
    x = keras.Input((16, 16, 3), name="image")
    y = layers.Conv2D(8, 4, 4, name="patch")(x)
    y = layers.Reshape((16, 8), name="tokens")(y)
    for _ in range(2):
        y = Encoder(8, 2)(y)
    return keras.Model(x, layers.Dense(4, name="head")(ops.mean(y, axis=1)), name="vit")


def crnn():
    x = keras.Input((8, 16, 1), name="strip")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    y = layers.MaxPooling2D((2, 1), name="pool")(y)
    y = layers.Reshape((16, 16), name="columns")(layers.Permute((2, 1, 3), name="turn")(y))
    y = layers.Bidirectional(layers.GRU(5, return_sequences=True), name="rnn")(y)
    letters = layers.TimeDistributed(layers.Dense(6, activation="softmax"), name="letters")
    return keras.Model(x, letters(y), name="crnn")


def shuffle():
    x = keras.Input((8, 8, 4), name="image")
    y = layers.Conv2D(8, 1, groups=2, name="squeeze")(x)
    y = ops.reshape(ops.transpose(ops.reshape(y, (-1, 8, 8, 2, 4)), (0, 1, 2, 4, 3)), (-1, 8, 8, 8))
    y = layers.DepthwiseConv2D(3, padding="same", name="spread")(y)
    left, right = ops.split(y, 2, axis=-1)
    return keras.Model(x, layers.Concatenate(name="join")([right, left, y[..., :2]]), name="shuffle")


def pixel_shuffle():
    x = keras.Input((4, 4, 3), name="image")
    y = layers.Conv2D(12, 3, padding="same", name="conv")(x)
    y = layers.Lambda(lambda t: ops.reshape(t, (-1, 4, 4, 2, 2, 3)), name="cut")(y)
    y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 8, 8, 3))
    return keras.Model(
        x, y + layers.UpSampling2D(2, interpolation="bilinear", name="up")(x), name="pixel_shuffle"
    )


def dict_inputs():
    """A dict of inputs of different types, a dict of outputs, a layer used twice."""
    inputs = {"age": keras.Input((1,), name="age"), "word": keras.Input((3,), dtype="int32", name="word")}
    word = layers.Embedding(9, 4, name="embed")(inputs["word"])
    shared = layers.Dense(4, activation="relu", name="shared")
    y = shared(shared(layers.Flatten(name="flat")(word)[:, :4])) + inputs["age"]
    return keras.Model(inputs, {"score": layers.Dense(1, name="score")(y), "code": y}, name="dict_inputs")


def nested_twice():
    """A Functional block inside a Sequential inside a Functional model; both hold a layer named `fc`."""
    x = keras.Input((6,), name="x")
    block = keras.Model(x, layers.Dense(6, name="fc")(x) + x, name="block")
    steps = [keras.Input((6,)), block, layers.ReLU(name="relu"), layers.Dense(3, name="fc")]
    stack = keras.Sequential(steps, name="stack")
    top = keras.Input((6,), name="top")
    return keras.Model(top, layers.Softmax(name="prob")(stack(top)), name="nested_twice")


def efficientnet():
    return keras.applications.EfficientNetB0(
        weights=None, input_shape=(32, 32, 3), classes=4, name="efficientnet"
    )


def mobilenet_v3():
    return keras.applications.MobileNetV3Small((32, 32, 3), weights=None, classes=4, name="mobilenet_v3")


MODELS = {
    build.__name__: build
    for build in (
        residual, siamese, text, nested_mobilenet, vit, crnn, shuffle, pixel_shuffle, dict_inputs,
        nested_twice, efficientnet, mobilenet_v3,
    )
}  # fmt: skip


@functools.cache
def built(name):
    """Returns one randomized model for tests that only read it."""
    return randomize(MODELS[name]())


def randomize(model, seed=0):
    """Gives every weight a value of its own, so that a mixed-up copy shows, and keeps signals in range."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = variable.shape
        values = rng.normal(0.0, np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1, shape)
        if any(word in variable.path for word in ("variance", "gamma")):
            values = 1 + np.abs(values)
        variable.assign(values.astype("float32"))
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    return model


def random_inputs(specs, batch=3, seed=1):
    """Returns arrays for a structure of symbolic inputs or of `FlatTensor`s."""
    rng = np.random.default_rng(seed)

    def draw(spec):
        shape = (batch, *spec.shape[1:])
        values = rng.integers(0, 9, shape) if "int" in spec.dtype else rng.normal(size=shape)
        return values.astype(spec.dtype)

    return keras.tree.map_structure(draw, specs)
