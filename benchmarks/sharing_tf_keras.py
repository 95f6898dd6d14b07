"""The peer's side of `bench_weight_sharing`: tf_keras with TFMOT's `cluster_weights`."""

import contextlib
import io
import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from aware_plan import AwarePlan
from fit_tf_keras import Weights, check, resnet8

from tfzip.files import written_beside

__all__ = ["check", "train"]
SHARING = {"TFMOT": {}, "TFMOT, a codebook for each channel": {"cluster_per_channel": True}}


def train(weights: Weights, plan: AwarePlan, side: str, clusters: int, target: str) -> list[float]:
    """Clusters and trains as TFMOT's guide does, writes an int8 file, and returns held-out accuracies.

    Args:
        weights: What to start from, by layer.
        plan: How to train.
        side: A name in `SHARING`.
        clusters: The most values of a codebook.
        target: The file to write.
    """
    keras.utils.set_random_seed(plan.seed)
    module = tfmot.clustering.keras
    start = module.CentroidInitialization.KMEANS_PLUS_PLUS
    model = module.cluster_weights(
        resnet8(weights), number_of_clusters=clusters, cluster_centroids_init=start, **SHARING[side]
    )
    history = plan.fit(keras, model)
    with written_beside(Path(target)) as partial:
        partial.write_bytes(_converted(module.strip_clustering(model), plan))
    return history["val_accuracy"]


def _converted(model: keras.Model, plan: AwarePlan) -> bytes:
    x, _ = plan.train_rows()
    images = x[np.random.default_rng(plan.seed).choice(len(x), 256, replace=False)]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()
