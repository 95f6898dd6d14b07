"""What LiteRT really allocates for activations, read from the addresses of its tensors."""

import warnings

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def to_tflite(model, scheme="float32", batch=1):
    """Returns a model as the bytes of a .tflite with a fixed batch, by the plain converter."""
    specs = [tf.TensorSpec((batch, *t.shape[1:]), t.dtype, name=t.name) for t in model.inputs]
    function = tf.function(
        lambda *tensors: model(keras.tree.pack_sequence_as(model.input, list(tensors)), training=False)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(*specs)])
    if scheme == "int8":
        rng = np.random.default_rng(0)
        draws = [[rng.normal(size=spec.shape).astype("float32") for spec in specs] for _ in range(4)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter(draws)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        return converter.convert()


def arena_bytes(content):
    """Returns the span of addresses of all computed tensors, by the kernels that need no scratch memory."""
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    computed = {detail["index"] for detail in interpreter.get_input_details()}
    computed |= {int(index) for op in interpreter._get_ops_details() for index in op["outputs"]}
    arrays = [
        interpreter.tensor(index)().__array_interface__ | {"view": interpreter.tensor(index)()}
        for index in computed
    ]
    starts = [array["data"][0] for array in arrays]
    return max(array["data"][0] + array["view"].nbytes for array in arrays) - min(starts)
