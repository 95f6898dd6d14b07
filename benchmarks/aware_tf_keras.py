"""The peer's side of `bench_quantization_aware`: tf_keras, in float and with TFMOT's `quantize_model`."""

import contextlib
import io
import os
import time
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from aware_plan import AwarePlan, StepTimes, mobilenetv2
from fit_tf_keras import resnet8

from tfzip.errors import DataError
from tfzip.files import written_beside

Weights = dict[str, list[np.ndarray]]
TOLERANCE = 1e-4


class Times(StepTimes, keras.callbacks.Callback):
    """Time of each step."""


def check(weights: Weights, network: str, images: np.ndarray, outputs: np.ndarray) -> float:
    """Returns how far the twin's answers are from the original's, or raises if it is another network."""
    difference = float(np.abs(_twin(weights, network)(images).numpy() - outputs).max())
    if not difference < TOLERANCE:
        raise DataError(f"The {network} rebuilt in tf_keras differs by {difference:g} from the original.")
    return difference


def train(weights: Weights, plan: AwarePlan, target: str) -> dict[str, Any]:
    """Trains with TFMOT, converts and keeps the answers to the test images; returns time and history.

    All at once: the model cannot be loaded again from a file.
    """
    model = _fresh(weights, plan, aware=True)
    began = time.perf_counter()
    history = plan.fit(keras, model, [keras.callbacks.CSVLogger(f"{target}.csv")])
    fit_s = time.perf_counter() - began
    with written_beside(Path(f"{target}.tflite")) as partial:
        partial.write_bytes(_converted(model))
    np.save(f"{target}.npy", model.predict(plan.test_rows()[0], batch_size=200, verbose=0))
    return {"fit_s": fit_s, "history": history}


def timed_steps(weights: Weights, plan: AwarePlan, phase: str) -> dict[str, float]:
    """Returns what a step takes: `"plain"` or `"aware"`."""
    model, times = _fresh(weights, plan, aware=phase == "aware"), Times()
    plan.compile(keras, model)
    x, y = plan.train_rows()
    model.fit(x, y, batch_size=plan.batch_size, epochs=plan.epochs, verbose=0, callbacks=[times])
    return times.taken()


def _converted(model: Any) -> bytes:
    """Converts as TFMOT's guide does, with integers at both ends."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def _fresh(weights: Weights, plan: AwarePlan, *, aware: bool) -> Any:
    keras.utils.set_random_seed(plan.seed)
    model = _twin(weights, plan.network)
    if aware:
        model = tfmot.quantization.keras.quantize_model(model)
    return model


def _twin(weights: Weights, network: str) -> Any:
    if network == "resnet8":
        return resnet8(weights)
    model = mobilenetv2(keras)
    for layer in model.layers:
        if weights.get(layer.name):
            layer.set_weights(weights[layer.name])
    return model
