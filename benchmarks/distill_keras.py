"""One row of `bench_distillation_accuracy`, in a process and on a thread of its own."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from aware_plan import AwarePlan
from bench_resnet8 import accuracy
from distill_plan import FOUR_BITS, HALF, OUTPUTS, SCRATCH, Kind
from sharing_keras import calibration

import tfzip
from recipes.cifar10_networks import resnet8


def row(kind: Kind, plan: AwarePlan, teacher: str, published: str, cache: str, target: str) -> dict[str, Any]:
    """Trains a student and measures its file.

    Args:
        kind: Which student and loss.
        plan: The training.
        teacher: Path of the large network, which teaches students that begin with random weights.
        published: Path of the published ResNet-8, which is compressed and teaches what is left of it.
        cache: Folder for the answers of a teacher.
        target: Path of the file that is measured.

    Returns:
        Accuracies on held-out rows after each epoch, that of the file on test rows, and its bytes.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(plan.seed)
    student, callbacks, options = _student(kind, published)
    fitted, batches = student, None
    if kind.loss:
        teaches: Any = keras.models.load_model(
            teacher if kind.student == SCRATCH else published, compile=False
        )
        if kind.loss in OUTPUTS and kind.student == SCRATCH:
            teaches = tfzip.cache_teacher(teaches, plan.epoch, cache, epochs=plan.epochs, check_all=False)
            batches = teaches.batches()
        fitted = tfzip.Distiller(teaches, student, kind.loss, from_logits=False)
    history = plan.fit(keras, fitted, callbacks, batches)
    images = {"calibration": calibration(plan)} if options else {}
    tfzip.export(student, target, **options, **images)
    return {
        "kind": kind.name,
        "student": kind.student,
        "loss": kind.loss,
        "macs": tfzip.profile(student).macs,
        "bytes": Path(target).stat().st_size,
        "held_out": history["val_accuracy"],
        "test": accuracy(Path(target), *plan.test_rows()),
    }


def _student(kind: Kind, published: str) -> tuple[keras.Model, list[Any], dict[str, str]]:
    """Returns what is trained, with the callbacks of its training and the options of its file."""
    if kind.student == SCRATCH:
        return resnet8(), [], {}
    model = keras.models.load_model(published, compile=False)
    if kind.student == HALF:
        return tfzip.remove_channels(model, 0.5, criterion="l1", target="macs", scope="global"), [], {}
    return model, [tfzip.QuantizationCallback(FOUR_BITS)], {"scheme": FOUR_BITS}
