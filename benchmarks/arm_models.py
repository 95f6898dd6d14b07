"""The networks and files of the benchmarks on emulated ARM cores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from common import data_file

import tfzip

SIDE = 96
SPARSITY = 0.8
NETWORKS = ("ResNet-8", "MobileNet", "MobileNetV2")


def network(name: str) -> tuple[keras.Model, np.ndarray]:
    """Returns a model and 64 images for it.

    ResNet-8 has its published weights and CIFAR-10's training images; the others have random weights, batch
    statistics from the images, and smooth random images of 96 x 96.
    """
    if name == "ResNet-8":
        model = keras.models.load_model(str(data_file("resnet8_cifar10.keras")), compile=False)
        with np.load(str(data_file("cifar10.npz"))) as stored:
            return model, stored["x_train"][:64].astype(np.float32)
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, name)
    model = build((SIDE, SIDE, 3), weights=None, classes=100, classifier_activation=None)
    coarse = np.random.default_rng(0).uniform(-1, 1, (64, SIDE // 8, SIDE // 8, 3)).astype(np.float32)
    images = coarse.repeat(8, axis=1).repeat(8, axis=2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model, images


def files(name: str, folder: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yields the name of each variant, its file, and further fields of the device."""
    model, images = network(name)
    half = tfzip.remove_channels(model, 0.5, criterion="l1", target="macs", scope="global")
    sparse = tfzip.prepare_for_sparse(_with_zeros(model))
    variants: list[tuple[str, keras.Model, dict[str, Any]]] = [
        ("float32", model, {}),
        ("float16", model, {"scheme": "float16"}),
        ("int8_weights", model, {"scheme": "int8_weights"}),
        ("int8", model, {"scheme": "int8"}),
        ("w4a8", model, {"scheme": "w4a8"}),
        ("half the MACs, float32", half, {}),
        ("half the MACs, int8", half, {"scheme": "int8"}),
        ("80 % zeros, float32, sparse", sparse, {"sparse": True}),
    ]
    for variant, chosen, options in variants:
        target = folder / f"{name}-{len(list(folder.iterdir()))}.tflite"
        calibrated = options.get("scheme") in ("int8", "w4a8")
        tfzip.export(chosen, target, **options, **({"calibration": images} if calibrated else {}))
        yield variant, target, {}
        if variant == "float32":
            yield "float32, computed in half precision", target, {"fp16": True}


def _with_zeros(model: keras.Model) -> keras.Model:
    """Returns a copy with four fifths of each pointwise and dense kernel at zero, the smallest ones."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None or isinstance(layer, keras.layers.DepthwiseConv2D):
            continue
        values = np.array(kernel)
        values[np.abs(values) <= np.quantile(np.abs(values), SPARSITY)] = 0
        kernel.assign(values)
    return copy
