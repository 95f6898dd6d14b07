"""TensorFlow's own converter, told everything through a `ConversionJob`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.toco import types_pb2

from tfzip.conversion.converters import SIGNATURE, ConversionJob
from tfzip.conversion.converters.calibrated import Batch, CalibratedFile
from tfzip.conversion.converters.file_model import FileModel
from tfzip.conversion.converters.formats import fit_16_bits, unsigned, without_border
from tfzip.conversion.converters.joined import join_islands
from tfzip.conversion.converters.plans import WeightPlans
from tfzip.conversion.converters.ranges import masked_in, observe_ranges, soften_recorded_masks
from tfzip.conversion.converters.recorded import probe_batch, refuse_unknown, write_recorded
from tfzip.conversion.converters.sparse import Stored, store_sparse
from tfzip.conversion.converters.weights import rewrite_weights
from tfzip.errors import ConversionError, TfzipError
from tfzip.quantization.observers import PercentileObserver
from tfzip.schemes import Range
from tfzip.tflite import read
from tfzip.tflite.naming import layer_of_operator

_REFUSED = re.compile(r"Node number \d+ \((?P<op>\w+)\) failed")
_NOISY = {
    np.dtype("float32"): 1.0,
    np.dtype("int8"): 99.0,
    np.dtype("uint8"): 99.0,
    np.dtype("int16"): 9999.0,
}
_PRODUCT = "MUL"  # TensorFlow's quantizer crashes on the product of 16-bit values and a constant


def convert(job: ConversionJob) -> Stored:
    """Converts a SavedModel and writes the .tflite.

    Only builtin operations are allowed: what LiteRT cannot run without the Flex delegate is an error.

    Returns:
        What the sparse encoding saved, if it was asked for.

    Raises:
        ConversionError: With the whole message of the converter or interpreter, to be read by
            `tfzip.conversion.diagnosis`.
    """
    try:
        content = _integer(job) if job.scheme.needs_calibration else _with_float_activations(job)
    except TfzipError:
        raise
    except Exception as error:  # noqa: BLE001 (the converter raises its own, untyped errors)
        raise ConversionError(str(error)) from None
    path = Path(job.output)
    path.write_bytes(content)
    _run_once(content)
    stored = store_sparse(path) if job.sparse else Stored()
    if stored.num_kernels:
        _refuse_other_results(content, path.read_bytes())
    return stored


def _refuse_other_results(dense: bytes, sparse: bytes) -> None:
    """Runs a file and the one with sparse kernels on the same noise; they agree to the last bit."""
    if _run_once(dense, np.random.default_rng(0)) != _run_once(sparse, np.random.default_rng(0)):
        raise ConversionError(
            "The file with sparse kernels computes something else than the one with dense kernels. Export it"
            " without sparse."
        )


def inner_ranges(job: ConversionJob) -> dict[str, Range]:
    """Returns the ranges, by tensor of the file, of what no recorded range belongs to."""
    file = _calibrated(job)
    observe_ranges(file, _batches(job), job.observer or PercentileObserver(), job.scheme.activations)
    chosen = {index: file[index] for index in file.names}
    unknown = file.names if job.recorded is None else write_recorded(file, job.recorded, job.batch)
    return {file.names[index]: chosen[index] for index in unknown}


def _calibrated(job: ConversionJob) -> CalibratedFile:
    """Returns the float file of an integer scheme with the ranges that its data have."""
    converter = _converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _batches(job)
    converter._experimental_calibrate_only = True  # noqa: SLF001 (the only way between the two steps)
    return CalibratedFile(converter.convert())


def _with_float_activations(job: ConversionJob) -> bytes:
    converter = _converter(job)
    if job.scheme.weights.bits < 32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job.scheme.weights.kind == "float":
        converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())
    return _rewritten(converter.convert(), _converter(job).convert(), job)


def _integer(job: ConversionJob) -> bytes:
    """Returns a file in which operations that LiteRT has no integer kernel for are left in float."""
    file = _calibrated(job)
    _set_ranges(file, job)
    floats, left_float = file.to_bytes(), set[str]()
    while True:
        try:
            quantized = _quantized(floats, job, left_float)
        except RuntimeError:
            if job.scheme.activations.bits == 8 or _PRODUCT in left_float:
                raise
            left_float.add(_PRODUCT)
            continue
        content = _rewritten(quantized, floats, job)
        refused = _refused(content)
        if refused is None or refused in left_float:
            return content
        left_float.add(refused)


def _refused(content: bytes) -> str | None:
    """Returns the name of the operation whose kernel refuses the file, if one does."""
    try:
        _run_once(content)
    except ConversionError as error:
        found = _REFUSED.search(str(error))
        return found["op"] if found else None
    return None


def _set_ranges(file: CalibratedFile, job: ConversionJob) -> None:
    if job.calibration:
        observer = job.observer or PercentileObserver()
        observe_ranges(file, _batches(job), observer, job.scheme.activations)
    if job.recorded is not None:
        masked = masked_in(file)
        unknown = write_recorded(file, job.recorded, job.batch)
        if not job.calibration:
            refuse_unknown(file, unknown, job.layers)
            soften_recorded_masks(file, masked)


def _quantized(calibrated: bytes, job: ConversionJob, left_float: set[str]) -> bytes:
    form, is_wide = job.scheme.weights, job.scheme.activations.bits == 16
    io = tf.float32 if is_wide else tf.as_dtype(job.io.replace("uint8", "int8"))
    content: bytes = mlir_quantize(
        calibrated,
        disable_per_channel=form.kind == "int" and not form.per_channel,
        inference_type=types_pb2.QUANTIZED_INT16 if is_wide else types_pb2.QUANTIZED_INT8,
        input_data_type=io,
        output_data_type=io,
        denylisted_ops=left_float,
    )
    return content


def _rewritten(content: bytes, floats: bytes, job: ConversionJob) -> bytes:
    """Returns a quantized file with its weights as the scheme and the model want them."""
    file, source = FileModel(content), FileModel(floats)
    if job.scheme.activations.bits == 16:
        fit_16_bits(file)
        if job.io != "float32":
            without_border(file)
    plans = WeightPlans(job.scheme, job.kernels, _layers(floats, job))
    rewrite_weights(file, source, plans)
    if job.scheme.weights.symmetric:
        join_islands(file)
    else:
        unsigned(file)
    return file.to_bytes()


def _layers(floats: bytes, job: ConversionJob) -> list[str | None]:
    path = Path(job.output)
    path.write_bytes(floats)
    graph = read(path)
    return [
        layer_of_operator(graph, subgraph, operator, layer_paths=job.layers)
        for subgraph in graph.subgraphs
        for operator in subgraph.operators
    ]


def _run_once(content: bytes, noise: np.random.Generator | None = None) -> list[bytes]:
    """Runs a file with fixed shapes, since converters write files that kernels refuse.

    Args:
        content: The file.
        noise: Fills inputs of floats and of narrow integers, which stand for floats. Defaults to None: zeros.

    Returns:
        Its outputs; none for a file that leaves shapes open.
    """
    interpreter = tf.lite.Interpreter(model_content=content)
    if any(-1 in details["shape_signature"] for details in interpreter.get_input_details()):
        return []
    try:
        interpreter.allocate_tensors()
        for details in interpreter.get_input_details():
            given = np.zeros(details["shape"], details["dtype"])
            if noise is not None and given.dtype in _NOISY:
                given[...] = noise.uniform(0, _NOISY[given.dtype], given.shape)
            interpreter.set_tensor(details["index"], given)
        interpreter.invoke()
        results = interpreter.get_output_details()
        return [interpreter.get_tensor(details["index"]).tobytes() for details in results]
    except (RuntimeError, ValueError) as error:
        raise ConversionError(str(error)) from None


def _converter(job: ConversionJob) -> Any:
    converter = tf.lite.TFLiteConverter.from_saved_model(job.saved_model, signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _batches(job: ConversionJob) -> Iterator[Batch]:
    if not job.calibration and job.recorded is not None:
        yield probe_batch(job.recorded, job.batch)
        return
    arrays = {name: np.load(file, mmap_mode="r") for name, file in job.calibration}
    count = min(len(array) for array in arrays.values())
    for start in range(0, count, job.batch):
        rows = np.arange(start, start + job.batch) % count  # the last batch is filled from the front
        yield {name: array[rows] for name, array in arrays.items()}
