"""The peer's side of `bench_unstructured`: tf_keras with TFMOT's `prune_low_magnitude`."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from aware_plan import AwarePlan
from fit_tf_keras import Weights, check, resnet8
from sparse_plan import EVERY, SPARSITY, WINDOW

__all__ = ["check", "train"]


def train(weights: Weights, plan: AwarePlan, folder: str) -> dict[str, Any]:
    """Prunes and trains as TFMOT's guide does, and writes a float32 file with and without sparse encoding.

    Args:
        weights: What to start from, by layer.
        plan: How to train.
        folder: Where the files go.

    Returns:
        `held_out`, the accuracy by epoch, `sparsity` of the kernels, and `files`, paths by kind.
    """
    keras.utils.set_random_seed(plan.seed)
    module = tfmot.sparsity.keras
    end = round(WINDOW * plan.epochs * plan.steps)
    schedule = module.PolynomialDecay(0.0, SPARSITY, 0, end, power=3, frequency=EVERY)
    model = module.prune_low_magnitude(resnet8(weights), pruning_schedule=schedule)
    history = plan.fit(keras, model, [module.UpdatePruningStep()])
    model = module.strip_pruning(model)
    kernels = [w.numpy() for layer in model.layers for w in layer.weights if "kernel" in w.name]
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
    files = {}
    for kind, modes in (("float32", []), ("float32, sparse", [tf.lite.Optimize.EXPERIMENTAL_SPARSITY])):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = modes
        with contextlib.redirect_stdout(io.StringIO()):
            content = converter.convert()
        files[kind] = str(Path(folder) / f"{len(files)}.tflite")
        Path(files[kind]).write_bytes(content)
    sparsity = zeros / sum(kernel.size for kernel in kernels)
    return {"held_out": list(np.float64(history["val_accuracy"])), "sparsity": sparsity, "files": files}
