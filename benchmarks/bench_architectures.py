"""Stock architectures with random weights to float32 and int8: do they convert, and do the files agree?

The plain converter (`from_keras_model`) stands beside tfzip for float32. Random weights leave
batch normalization without statistics, which makes activations vanish or explode with depth, so each network
first takes them from one batch of smooth random images. Other images calibrate and others are compared, by
logits: with random weights all 1,000 probabilities are about 1/1000 and would hide any error.
"""

import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import save

SEED, SAMPLES, SIDE = 0, 8, 224
NAMES = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "DenseNet121",
    "NASNetMobile",
    "ConvNeXtTiny",
    "ResNet50",
    "ResNet50V2",
    "Xception",
    "InceptionV3",
    "InceptionResNetV2",
)


def images(count: int, side: int, seed: int) -> np.ndarray:
    """Returns smooth random images of values 0..255: random grids of 8 x 8 cells, enlarged and blurred."""
    import tensorflow as tf

    cells = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    return np.clip(tf.image.resize(cells, (side, side), "bicubic").numpy(), 0, 255)


def network(name: str) -> tuple[Any, int]:
    """Returns the network with seeded random weights and batch statistics, and the side of its input."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    side = model.input.shape[1] or SIDE
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images(SAMPLES, side, SEED + 1), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return model, side


def foreign_ops(path: Path) -> list[str]:
    """Returns the names of the Flex and custom operations of a file."""
    from tfzip.tflite import read

    return sorted({op.name for sub in read(path).subgraphs for op in sub.operators if op.is_custom})


def plain_converter(model: Any, path: Path) -> str:
    """Converts with TensorFlow's own converter and returns what came of it."""
    import tensorflow as tf

    try:
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    except Exception as error:  # noqa: BLE001 (whatever the peer raises is its result)
        return f"failed: {type(error).__name__}"
    return f"Flex or custom: {', '.join(foreign_ops(path))}" if foreign_ops(path) else "converted"


def measure(name: str, folder: Path) -> list[dict]:
    """Converts one network both ways and compares the files with it."""
    import tfzip

    model, side = network(name)
    peer = plain_converter(model, folder / "plain.tflite")
    rows = []
    for scheme in ("float32", "int8"):
        began = time.perf_counter()
        artifact = tfzip.export(
            model, folder / "m.tflite", scheme=scheme, calibration=images(SAMPLES, side, SEED + 2)
        )
        seconds = time.perf_counter() - began
        report = tfzip.compare(model, artifact, images(SAMPLES, side, SEED + 3), batch_size=4)
        (output,) = report.outputs
        first = report.first_divergent_op
        rows.append(
            {
                "network": name,
                "scheme": scheme,
                "plain_converter": peer if scheme == "float32" else None,
                "bytes": artifact.size_bytes,
                "export_seconds": round(seconds, 1),
                "foreign_ops": foreign_ops(artifact.path),
                "float_islands": [
                    f"{f.op} in {f.layer}" for f in artifact.findings if f.kind == "float_island"
                ],
                "unit": output.unit,
                "max_difference": output.max_difference,
                "mean_difference": output.mean_difference,
                "max_relative": output.max_relative,
                "cosine": output.cosine,
                "top1_agreement": output.agreement,
                "first_divergent_op": f"{first.op} in {'+'.join(first.layers)}" if first else None,
            }
        )
        print(
            f"{name:18} {scheme:8} {artifact.size_bytes / 1e6:6.1f} MB  max {output.max_difference:8.3g} "
            f"{output.unit} mean {output.mean_difference:8.3g}  cosine {output.cosine:.6f}  "
            f"foreign {len(rows[-1]['foreign_ops'])} islands {len(rows[-1]['float_islands'])}  plain: {peer}",
            flush=True,
        )
    del model
    gc.collect()
    return rows


def main() -> None:
    """Measures every network named on the command line, by default all of them."""
    chosen, rows = sys.argv[1:] or NAMES, []
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, Path(folder))
    clean = sum(not row["foreign_ops"] for row in rows)
    print(f"{len(rows)} files from {len(chosen)} networks, {clean} without foreign operations")
    if not sys.argv[1:]:
        save("architectures", {"seed": SEED, "samples": SAMPLES, "rows": rows})


if __name__ == "__main__":
    main()
