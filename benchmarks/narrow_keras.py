"""One row of `bench_channel_accuracy`, in a process and on a thread of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from bench_resnet8 import accuracy
from narrow_plan import BASE_EPOCHS, LOSSES, SAMPLES, WEIGHTS, Kind, NarrowPlan, residual_network

import tfzip


def train_whole(plan: NarrowPlan, path: str) -> dict[str, Any]:
    """Trains a whole network from random weights and saves it; returns its accuracy on held-out rows."""
    _start(plan)
    model = residual_network(keras, plan.network)
    history = plan.fit(keras, model, [keras.callbacks.CSVLogger(f"{path}.csv")])
    model.compile()  # a file without the optimizer
    model.save(path)
    return {"held_out": history["val_accuracy"]}


def row(base: str, plan: NarrowPlan, kind: Kind, ratio: float, target: str) -> dict[str, Any]:
    """Narrows and trains a network, and measures its file.

    Args:
        base: Path of the whole network.
        plan: The training, the first epoch of which may go to what comes before the removal.
        kind: Of the row.
        ratio: How many times fewer multiply-accumulates.
        target: Path of the file that is measured.

    Returns:
        Counts, accuracies on held-out rows before and after each epoch, and that of the file on test rows.
    """
    _start(plan)
    model = keras.models.load_model(base)
    history: list[float] = []
    if kind.ahead:
        model, history = _ahead(model, plan, kind)
        plan = replace(plan, epochs=plan.epochs - 1)
    if kind.criterion:
        model.compile(loss="sparse_categorical_crossentropy")
        model = _narrowed(model, base, plan, kind, ratio)
    if kind.fresh:
        keras.utils.set_random_seed(plan.seed)
        model = keras.models.clone_model(model)
        plan = replace(plan, learning_rate=0.1, rise=0.1)
    if kind.long:
        plan = replace(plan, epochs=plan.epochs + BASE_EPOCHS[plan.network])
    x, y = plan.held_out()
    before = float(np.mean(model.predict(x, batch_size=500, verbose=0).argmax(-1) == y))
    fitted = model
    if kind.taught:
        teacher = keras.models.load_model(base)
        fitted = tfzip.Distiller(teacher, model, LOSSES, weights=WEIGHTS, from_logits=False)
    history += plan.fit(keras, fitted)["val_accuracy"]
    tfzip.export(model, target)
    profile = tfzip.profile(model)
    return {
        "kind": kind.name,
        "network": plan.network,
        "ratio": ratio,
        "macs": profile.macs,
        "parameters": profile.parameters,
        "widths": [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)],
        "bytes": Path(target).stat().st_size,
        "held_out_before": before,
        "held_out": history,
        "test": accuracy(Path(target), *plan.test_rows()),
    }


def _start(plan: NarrowPlan) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(plan.seed)


def _ahead(model: keras.Model, plan: NarrowPlan, kind: Kind) -> tuple[keras.Model, list[float]]:
    """Trains the whole network for the first epoch, for scales or for how far its weights move."""
    callbacks = [tfzip.SlimmingCallback(1e-3)] if kind.ahead == "slimming" else []
    first = replace(plan, epochs=1, seed=1000 + plan.seed)
    return model, first.fit(keras, model, callbacks)["val_accuracy"]


def _narrowed(model: keras.Model, base: str, plan: NarrowPlan, kind: Kind, ratio: float) -> keras.Model:
    data: Any = None
    if kind.criterion == "movement":
        data = keras.models.load_model(base)
    elif kind.criterion not in ("random", "scratch"):
        chosen = np.random.default_rng(plan.seed).permutation(plan.images)[:SAMPLES]
        data = tuple(array[chosen] for array in plan.train_rows())
    return tfzip.remove_channels(
        model,
        1 - 1 / ratio,
        criterion=kind.criterion,
        target="macs",
        scope=kind.scope,
        data=data,
        seed=plan.seed,
    )
