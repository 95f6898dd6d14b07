"""The tfzip side of `bench_pruning_fit`: Keras 3, with and without `PruningCallback`."""

import time
from typing import Any

import keras
import numpy as np
from fit_plan import SEED, SPARSITY, EpochTimes, FitPlan, zero_fraction

from tfzip import PolynomialSchedule, PruningCallback, PruningWindow


class Times(EpochTimes, keras.callbacks.Callback):
    """Seconds of each epoch."""


class Sparsities(keras.callbacks.Callback):
    """The sparsity at each batch end."""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Starts a new list."""
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Counts the zeros."""
        self.seen.append(zero_fraction([v.numpy() for v in self.model.weights if v.name == "kernel"]))


def weights_and_outputs(path: str, images: np.ndarray) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Returns the weights by layer name, and what the model answers to some images."""
    model = keras.models.load_model(path)
    return {layer.name: layer.get_weights() for layer in model.layers}, np.asarray(model(images))


def timed_fit(path: str, plan: FitPlan, pruned: bool) -> dict[str, Any]:
    """Returns the seconds of a fit from the stored weights, tracing included, and of each epoch."""
    times = Times()
    callbacks = [*([_pruning(plan)] if pruned else []), times]
    model, arguments = _fresh(path), plan.arrays()
    began, worked = time.perf_counter(), time.process_time()
    model.fit(**arguments, callbacks=callbacks)
    taken = {"fit_s": time.perf_counter() - began, "cpu_s": time.process_time() - worked}
    return {**taken, "epochs_s": times.seconds}


def observed_fit(path: str, plan: FitPlan) -> list[float]:
    """Returns the sparsity at each batch end of a pruned fit."""
    observer = Sparsities()
    _fresh(path).fit(**plan.arrays(), callbacks=[_pruning(plan), observer])
    return observer.seen


def _fresh(path: str) -> keras.Model:
    keras.utils.set_random_seed(SEED)
    model = keras.models.load_model(path, compile=False)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def _pruning(plan: FitPlan) -> PruningCallback:
    window = PruningWindow(end=plan.end, unit="steps", every=plan.every)
    return PruningCallback(PolynomialSchedule(SPARSITY), window=window)
