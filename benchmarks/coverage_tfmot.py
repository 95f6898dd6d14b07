"""The peer's side of `bench_quantization_coverage`: TFMOT on the same models built with tf_keras."""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from common import answer

ROOT = Path(__file__).parent.parent
BATCH, IMAGES, SEED = 8, 2, 5


def model_of(name: str) -> tuple[Any, list[Any]]:
    """Returns a case or a stock architecture, and random inputs for one step of training."""
    from bench_architectures import NAMES, SIDE, images

    if name in NAMES:
        model = getattr(tf_keras.applications, name)(weights=None, classifier_activation=None)
        return model, [images(IMAGES, model.input.shape[1] or SIDE, SEED)]
    sys.path.insert(0, str(ROOT))
    from tests.quantization.cases import build, samples

    model = build(name, tf_keras)
    return model, samples(model, BATCH)


def covered(name: str) -> dict[str, Any]:
    """Quantizes, trains one step, converts, and reads the types that operations compute in."""
    model, inputs = model_of(name)
    data = inputs[0] if len(inputs) == 1 else inputs
    quantized = tfmot.quantization.keras.quantize_model(model)
    quantized.compile("sgd", "mse")
    target = np.random.default_rng(2).normal(size=(len(inputs[0]), *quantized.output.shape[1:]))
    quantized.fit(data, target, batch_size=len(inputs[0]), epochs=1, verbose=0)
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    content = converter.convert()
    tensors = tf.lite.Interpreter(model_content=content).get_tensor_details()
    return {"result": "ok", "tensors": len(tensors)}


if __name__ == "__main__":
    for case in sys.argv[1:]:
        answer(case, lambda case=case: covered(case))
