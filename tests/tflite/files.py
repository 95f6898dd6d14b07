"""Small .tflite files: some converted by TensorFlow's converter, some written field by field."""

import atexit
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

_FOLDER = Path(tempfile.mkdtemp(prefix="tfzip-files-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
LAYERS = ("stem", "block/depthwise", "block/normalize", "block/relu", "flatten", "head")


def _convolutions():
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stem")(inputs)
    block = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            keras.layers.BatchNormalization(name="normalize"),
            keras.layers.ReLU(name="relu"),
        ],
        name="block",
    )
    x = keras.layers.Flatten(name="flatten")(block(x))
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", name="head")(x))


def _lstm():
    layers = [keras.Input((7, 3)), keras.layers.LSTM(4, name="memory"), keras.layers.Dense(2, name="head")]
    return keras.Sequential(layers)


class Applied(keras.layers.Layer):
    """A layer that applies one function."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


def _with(function, name):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="before")(inputs)
    x = Applied(function, name=name)(x)
    return keras.Model(inputs, keras.layers.Conv2D(2, 3, name="after")(x))


_MODELS = {
    "float32": (_convolutions, []),
    "int8": (_convolutions, [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
    "int8_weights": (_convolutions, [tf.lite.OpsSet.TFLITE_BUILTINS]),
    "lstm": (_lstm, []),
    "island": (
        lambda: _with(lambda x: tf.sin(tf.floor(x)), "wave"),
        [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.TFLITE_BUILTINS_INT8],
    ),
    "flex": (lambda: _with(tf.math.erf, "error_function"), []),
}


@cache
def converted(name: str) -> Path:
    """Converts one of the models above, once."""
    build, ops = _MODELS[name]
    keras.utils.set_random_seed(0)
    model = build()
    archive, folder = keras.export.ExportArchive(), _FOLDER / name
    archive.track(model)
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="given")
    archive.add_endpoint("serve", lambda x: model(x, training=False), [spec])
    archive.write_out(str(folder), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if ops:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if tf.lite.OpsSet.TFLITE_BUILTINS_INT8 in ops:
        samples = np.random.default_rng(0).random((8, 1, *model.input_shape[1:]), np.float32)
        converter.representative_dataset = lambda: ([sample] for sample in samples)
        converter.target_spec.supported_ops = ops
        converter.inference_input_type = converter.inference_output_type = tf.int8
    if name == "flex":
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
    path = _FOLDER / f"{name}.tflite"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())
    return path


def tensor(shape, kind="FLOAT32", buffer=0, name="t"):
    """A tensor for `written`."""
    made = schema.TensorT()
    made.shape, made.type, made.buffer, made.name = (
        list(shape),
        getattr(schema.TensorType, kind),
        buffer,
        name,
    )
    return made


def written(path: Path, tensors, op="ABS", inputs=(0,), outputs=(1,), buffers=(), **custom) -> Path:
    """Writes a file of one operation; `buffers` are the contents from number 1 on."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = custom.get("custom_code")
    operator, graph, model = schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    operator.inputs, operator.outputs = list(inputs), list(outputs)
    graph.tensors, graph.operators = list(tensors), [operator]
    graph.inputs, graph.outputs = [0], list(outputs)
    contents = [schema.BufferT() for _ in range(1 + len(buffers))]
    for content, data in zip(contents[1:], buffers, strict=True):
        content.data = list(data)
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], contents
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
