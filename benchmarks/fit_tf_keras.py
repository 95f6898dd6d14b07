"""The peer's side of `bench_pruning_fit`: tf_keras, with and without TFMOT's `prune_low_magnitude`."""

import os
import time
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from fit_plan import SEED, SPARSITY, EpochTimes, FitPlan, zero_fraction

from tfzip.errors import DataError

Weights = dict[str, list[np.ndarray]]
TOLERANCE = 1e-4


class Times(EpochTimes, keras.callbacks.Callback):
    """Seconds of each epoch."""


class Sparsities(keras.callbacks.Callback):
    """The sparsity at each batch end."""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Starts a new list."""
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Counts the zeros."""
        kernels = [v.numpy() for v in self.model.trainable_weights if "kernel" in v.name]
        self.seen.append(zero_fraction(kernels))


def check(weights: Weights, images: np.ndarray, outputs: np.ndarray) -> float:
    """Returns how far the rebuilt model's answers are from the original's, or raises if it is another."""
    difference = float(np.abs(resnet8(weights)(images).numpy() - outputs).max())
    if not difference < TOLERANCE:
        raise DataError(f"The model rebuilt in tf_keras differs by {difference:g} from the Keras 3 model.")
    return difference


def timed_fit(weights: Weights, plan: FitPlan, pruned: bool) -> dict[str, Any]:
    """Returns the seconds of a fit from the stored weights, tracing included, and of each epoch."""
    times = Times()
    model, callbacks = _fresh(weights, plan, pruned)
    arguments = plan.arrays()
    began, worked = time.perf_counter(), time.process_time()
    model.fit(**arguments, callbacks=[*callbacks, times])
    taken = {"fit_s": time.perf_counter() - began, "cpu_s": time.process_time() - worked}
    return {**taken, "epochs_s": times.seconds}


def observed_fit(weights: Weights, plan: FitPlan) -> list[float]:
    """Returns the sparsity at each batch end of a pruned fit."""
    observer = Sparsities()
    model, callbacks = _fresh(weights, plan, pruned=True)
    model.fit(**plan.arrays(), callbacks=[*callbacks, observer])
    return observer.seen


def _fresh(weights: Weights, plan: FitPlan, pruned: bool) -> tuple[Any, list[Any]]:
    keras.utils.set_random_seed(SEED)
    model, callbacks = resnet8(weights), []
    if pruned:
        decay = tfmot.sparsity.keras.PolynomialDecay(
            initial_sparsity=0.0,
            final_sparsity=SPARSITY,
            begin_step=0,
            end_step=plan.end,
            frequency=plan.every,
        )
        model = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=decay)
        callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    model.compile("adam", "sparse_categorical_crossentropy")
    return model, callbacks


def resnet8(weights: Weights) -> Any:
    """Rebuilds MLPerf Tiny's ResNet-8 with its layer names, so that weights go in by name."""
    layers = keras.layers
    counts = {"conv2d": 0, "batch_normalization": 0}

    def named(kind: str) -> str:
        number, counts[kind] = counts[kind], counts[kind] + 1
        return f"{kind}_{number}" if number else kind

    def convolve(x: Any, filters: int, size: int, stride: int) -> Any:
        return layers.Conv2D(filters, size, stride, padding="same", name=named("conv2d"))(x)

    def normalize(x: Any) -> Any:
        return layers.BatchNormalization(name=named("batch_normalization"))(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(normalize(convolve(inputs, 16, 3, 1)))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        branch = layers.ReLU()(normalize(convolve(x, filters, 3, stride)))
        branch = convolve(branch, filters, 3, 1)
        shortcut = convolve(x, filters, 1, stride) if stride > 1 else x
        x = layers.ReLU()(layers.Add()([shortcut, normalize(branch)]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="dense")(x))
    for layer in model.layers:
        if weights.get(layer.name):
            layer.set_weights(weights[layer.name])
    return model
