"""Small .tflite files made with TensorFlow's own converter, to check tfzip against."""

import warnings

import keras
import numpy as np
import tensorflow as tf

INTEGER_OPS = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "uint8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "int16": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}


def identity_file(path, dtype, *, float_output=False):
    """A file that quantizes its 4096 float inputs; with float outputs, their positive part comes back."""
    module = tf.Module()
    spec = tf.TensorSpec((1, 4096), tf.float32)
    body = tf.nn.relu if float_output else lambda x: tf.reshape(x, [1, 4096])
    module.serve = tf.function(body, input_signature=[spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[np.linspace(-3, 5, 4096, dtype=np.float32)[np.newaxis]]]
    converter.target_spec.supported_ops = [INTEGER_OPS[dtype]]
    if not float_output:
        converter.inference_output_type = getattr(tf, dtype)
    path.write_bytes(converted(converter))
    return path


def converted(converter):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.convert()


def convert(model, path, scheme, batch, calibration):
    """Writes a file of a model with a dictionary of inputs, by TensorFlow alone; batch None stays open."""
    folder = path.with_suffix("")
    spec = {
        tensor.name: keras.InputSpec(shape=(batch, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    }
    model.export(str(folder), format="tf_saved_model", verbose=False, input_signature=[spec])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if scheme != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        step = batch or 1
        count = len(next(iter(calibration.values())))
        converter.representative_dataset = lambda: (
            {name: array[i : i + step] for name, array in calibration.items()} for i in range(0, count, step)
        )
        kind = {"int8": "int8", "int16x8": "int16"}[scheme]
        converter.target_spec.supported_ops = [INTEGER_OPS[kind]]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, kind)
    path.write_bytes(converted(converter))


def with_bytes(path, tensor, change):
    """Writes a copy of a file in which the bytes of one constant tensor are changed; returns its path."""
    data = bytearray(path.read_bytes())
    place = slice(tensor.data_offset, tensor.data_offset + tensor.size_bytes)
    data[place] = change(bytes(data[place]))
    damaged = path.with_name(f"damaged_{path.name}")
    damaged.write_bytes(data)
    return damaged
