"""Small .tflite files made with TensorFlow's own converter, to check tfzip against."""

import warnings

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
