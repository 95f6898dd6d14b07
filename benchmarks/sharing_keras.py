"""The tfzip side of `bench_weight_sharing`: Keras 3, in float and with `ClusteringCallback`."""

from typing import Any

import keras
import numpy as np
from aware_plan import AS_PUBLISHED, AwarePlan

import tfzip

SHARING = {"tfzip": {}, "tfzip, a codebook for each channel": {"per_channel": True}}


def weights_and_outputs(path: str, images: np.ndarray) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Returns the weights of a stored model by layer, and what it answers to some images."""
    model = keras.models.load_model(path, compile=False)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    return weights, np.asarray(model(images, training=False))


def train(start: str, plan: AwarePlan, side: str, clusters: int, target: str) -> list[float]:
    """Trains, writes an int8 file, and returns the float model's accuracy on held-out rows by epoch.

    Args:
        start: The model to start from.
        plan: How to train.
        side: A name in `SHARING`, `aware_plan.AS_PUBLISHED` for no training, or any other for a plain fit.
        clusters: The most values of a codebook.
        target: The file to write.
    """
    keras.utils.set_random_seed(plan.seed)
    model = keras.models.load_model(start, compile=False)
    if side == AS_PUBLISHED:
        export(model, plan, target)
        return []
    options: dict[str, Any] | None = SHARING.get(side)
    callbacks = [] if options is None else [tfzip.ClusteringCallback(clusters, seed=plan.seed, **options)]
    history = plan.fit(keras, model, callbacks)
    export(model, plan, target)
    return history["val_accuracy"]


def export(model: keras.Model, plan: AwarePlan, target: str) -> None:
    """Writes an int8 file whose ranges come from the seed's calibration images."""
    tfzip.export(model, target, scheme="int8", calibration=calibration(plan))


def calibration(plan: AwarePlan, samples: int = 256) -> np.ndarray:
    """Returns training images drawn with the plan's seed."""
    x, _ = plan.train_rows()
    return x[np.random.default_rng(plan.seed).choice(len(x), samples, replace=False)]
