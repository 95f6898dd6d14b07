"""The tfzip side of `bench_unstructured`: Keras 3, in float and with `PruningCallback`."""

from pathlib import Path
from typing import Any

import keras
from aware_plan import AS_PUBLISHED, AwarePlan
from sharing_keras import calibration, weights_and_outputs
from sparse_plan import PLAIN, SPARSITY, TAUGHT, WINDOW

import tfzip

__all__ = ["train", "weights_and_outputs"]
FILES = {
    "float32": {},
    "float32, sparse": {"sparse": True},
    "int8": {"scheme": "int8"},
    "int8, sparse": {"scheme": "int8", "sparse": True},
}


def train(start: str, plan: AwarePlan, side: str, folder: str) -> dict[str, Any]:
    """Trains, and writes a file of each kind.

    Args:
        start: The model to start from.
        plan: How to train.
        side: `AS_PUBLISHED` for no training, `PLAIN` for training without zeros, else pruned.
        folder: Where the files go.

    Returns:
        `held_out`, the accuracy by epoch, `sparsity` of the kernels, and `files`, paths by kind.
    """
    keras.utils.set_random_seed(plan.seed)
    model = keras.models.load_model(start, compile=False)
    held_out, sparsity = [], 0.0
    if side != AS_PUBLISHED:
        window = tfzip.PruningWindow(end=WINDOW * plan.epochs)
        pruning = [] if side == PLAIN else [tfzip.PruningCallback(SPARSITY, scope="global", window=window)]
        fitted = model
        if side == TAUGHT:
            teacher = keras.models.load_model(start, compile=False)
            fitted = tfzip.Distiller(teacher, model, "kd", from_logits=False)
        held_out = plan.fit(keras, fitted, pruning)["val_accuracy"]
        sparsity = pruning[0].summary().sparsity if pruning else 0.0
    files = {}
    for kind, options in FILES.items():
        if "sparse" in options and not sparsity:
            continue
        images = {"calibration": calibration(plan)} if "scheme" in options else {}
        files[kind] = str(Path(folder) / f"{len(files)}.tflite")
        tfzip.export(model, files[kind], **options, **images)
    return {"held_out": held_out, "sparsity": sparsity, "files": files}
