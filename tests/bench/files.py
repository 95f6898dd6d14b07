"""Small real .tflite files, converted by TensorFlow's converter."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

INT16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def convolutions(filters, repeats=2):
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for _ in range(repeats):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def two_inputs():
    image, index = keras.Input((4,), name="image"), keras.Input((1,), dtype="int32", name="index")
    row = keras.layers.Flatten()(keras.layers.Embedding(5, 4)(index))
    return keras.Model({"image": image, "index": index}, image + row)


def loop():
    inputs = keras.Input((6, 5))
    return keras.Model(inputs, keras.layers.LSTM(4)(inputs))


def convert(model, path: Path, kind: str = "float32") -> Path:
    archive, folder = keras.export.ExportArchive(), path.with_suffix("")
    archive.track(model)
    specs = [tf.TensorSpec((1, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
    if len(specs) == 1:
        archive.add_endpoint("serve", lambda x: model(x, training=False), specs)
    else:
        archive.add_endpoint("serve", lambda x: model(x, training=False), [{s.name: s for s in specs}])
    archive.write_out(str(folder), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if kind != "float32":
        rng = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [rng.uniform(-1, 1, (1, *model.inputs[0].shape[1:])).astype(np.float32)] for _ in range(8)
        )
    if kind == "int16":
        converter.target_spec.supported_ops = [INT16]
        converter.inference_input_type = converter.inference_output_type = tf.int16
    if kind == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())
    return path


def convert_function(function, specs, path: Path) -> Path:
    module = tf.Module()
    module.f = tf.function(function, input_signature=specs)
    found = [module.f.get_concrete_function()]
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions(found, module).convert())
    return path
