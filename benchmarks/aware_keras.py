"""The tfzip side of `bench_quantization_aware`: Keras 3, in float and with `QuantizationCallback`."""

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from aware_plan import AwarePlan, StepTimes, mobilenetv2

import tfzip
from tfzip.quantization_record import record_of
from tfzip.sources.models import load_model

MIXED_BYTES = 60_000  # 4 bits, and 8 where the outputs change most, as 256 training images tell
# As docs/quantization.md says for the fine-tuning of a trained model; MobileNetV2 is still on its way there.
FREEZE_STATISTICS = {("resnet8", "int8"): 0, ("mobilenetv2", "int8"): 1}
FREEZING = {"moving": None, "frozen": 0}  # epoch from which ranges and batch statistics stay as they are


class Times(StepTimes, keras.callbacks.Callback):
    """Time of each step."""


def pretrain(plan: AwarePlan, path: str) -> list[float]:
    """Trains MobileNetV2 from scratch; returns its accuracy on held-out rows by epoch."""
    keras.utils.set_random_seed(plan.seed)
    model = mobilenetv2(keras)
    history = plan.fit(keras, model, [keras.callbacks.CSVLogger(f"{path}.csv")])
    unfinished = Path(path).with_suffix(".unfinished.keras")  # Keras asks for this ending
    model.save(unfinished)
    unfinished.replace(path)
    return history["val_accuracy"]


def train(start: str, plan: AwarePlan, kind: str, target: str) -> dict[str, Any]:
    """Trains for a scheme and saves the model, with its grids; returns the time and the history.

    Args:
        start: The model to start from.
        plan: How to train.
        kind: "float32" for a plain fit, "mixed" for 4 and 8 bits within `MIXED_BYTES`, or a scheme.
        target: Path of what is written, without its ending.
    """
    scheme: Any = kind
    model, callbacks = _fresh(start, plan), [keras.callbacks.CSVLogger(f"{target}.csv")]
    if scheme == "mixed":
        scheme = tfzip.assign_precision(model, plan.train_rows()[0][:256], MIXED_BYTES).scheme
    if scheme != "float32":
        callbacks.insert(
            0,
            tfzip.QuantizationCallback(scheme, freeze_statistics=FREEZE_STATISTICS.get((plan.network, kind))),
        )
    began = time.perf_counter()
    history = plan.fit(keras, model, callbacks)
    fit_s = time.perf_counter() - began
    model.save(f"{target}.keras")
    return {"fit_s": fit_s, "history": history}


def export(plan: AwarePlan, target: str) -> None:
    """Writes the file of a trained model, and what its simulation answers to the test images."""
    model = load_model(f"{target}.keras")
    tfzip.export(model, f"{target}.tflite")
    simulated = model if record_of(model) is None else tfzip.quantize(model)
    np.save(f"{target}.npy", simulated.predict(plan.test_rows()[0], batch_size=200, verbose=0))


def timed_steps(start: str, plan: AwarePlan, phase: str) -> dict[str, float]:
    """Returns what a step takes: `"plain"`, or simulated with grids `"moving"` or `"frozen"`."""
    model, times = _fresh(start, plan), Times()
    callbacks = []
    if phase != "plain":
        epoch = plan.epochs if FREEZING[phase] is None else FREEZING[phase]
        callbacks = [tfzip.QuantizationCallback("int8", freeze_ranges=epoch, freeze_statistics=epoch)]
    plan.compile(keras, model)
    x, y = plan.train_rows()
    model.fit(x, y, batch_size=plan.batch_size, epochs=plan.epochs, verbose=0, callbacks=[*callbacks, times])
    return times.taken()


def _fresh(start: str, plan: AwarePlan) -> keras.Model:
    keras.utils.set_random_seed(plan.seed)
    return keras.models.load_model(start, compile=False)
