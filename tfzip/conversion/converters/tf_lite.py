"""TensorFlow's own converter, told everything through a `ConversionJob`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from tfzip.conversion.converters import SIGNATURE, ConversionJob
from tfzip.conversion.converters.ranges import narrow
from tfzip.errors import ConversionError

_INTEGER_OPS = {
    8: tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    16: tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}


def convert(job: ConversionJob) -> None:
    """Converts a SavedModel and writes the .tflite.

    Only builtin operations are allowed: what LiteRT cannot run without the Flex delegate is an error.

    Raises:
        ConversionError: With the whole message of the converter or interpreter, to be read by
            `tfzip.conversion.diagnosis`.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(job.saved_model, signature_keys=[SIGNATURE])
    _configure(converter, job)
    try:
        content = _quantized(converter, job) if job.scheme.activations.bits == 8 else converter.convert()
    except Exception as error:  # noqa: BLE001 (the converter raises its own, untyped errors)
        raise ConversionError(str(error)) from None
    Path(job.output).write_bytes(content)
    _run_once(content)


def _quantized(converter: Any, job: ConversionJob) -> bytes:
    """Calibrates, narrows the ranges, and quantizes: the converter's own steps with one between them."""
    converter._experimental_calibrate_only = True  # noqa: SLF001 (the only way between the two steps)
    calibrated = bytearray(converter.convert())
    narrow(calibrated, _batches(job)())
    io = tf.as_dtype(job.io)
    quantized: bytes = mlir_quantize(bytes(calibrated), input_data_type=io, output_data_type=io)
    return quantized


def _run_once(content: bytes) -> None:
    """Runs a file with fixed shapes on zeros, since converters write files that kernels refuse."""
    interpreter = tf.lite.Interpreter(model_content=content)
    if any(-1 in details["shape_signature"] for details in interpreter.get_input_details()):
        return
    try:
        interpreter.allocate_tensors()
        for details in interpreter.get_input_details():
            interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise ConversionError(str(error)) from None


def _configure(converter: Any, job: ConversionJob) -> None:
    scheme = job.scheme
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if scheme.weights.bits == 32:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme.weights.kind == "float":
        converter.target_spec.supported_types = [tf.float16]
    if scheme.needs_calibration:
        converter.target_spec.supported_ops = [
            _INTEGER_OPS[scheme.activations.bits],
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
        converter.representative_dataset = _batches(job)
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(job.io)


def _batches(job: ConversionJob) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
    arrays = {name: np.load(file, mmap_mode="r") for name, file in job.calibration}
    count = min(len(array) for array in arrays.values())

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, count, job.batch):
            rows = np.arange(start, start + job.batch) % count  # the last batch is filled from the front
            yield {name: array[rows] for name, array in arrays.items()}

    return batches
