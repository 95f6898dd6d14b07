"""Stock architectures with random weights to float32 and int8: do they convert, and do the files agree?

The plain converter (`from_keras_model`) stands beside tfzip. Random weights leave batch normalization without
statistics, which makes activations vanish or explode with depth, so each network first takes them from one
batch of smooth random images. Other images calibrate and others are compared, by logits: with random weights
all 1,000 probabilities are about 1/1000 and would hide any error.
"""

import contextlib
import gc
import io
import sys
import tempfile
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


def plain_converter(model: Any, path: Path, scheme: str, calibration: np.ndarray) -> str:
    """Converts with TensorFlow's own converter as its guide says, and returns what came of it."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if scheme == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            path.write_bytes(converter.convert())
    except Exception as error:  # noqa: BLE001 (whatever the peer raises is its result)
        return f"failed: {type(error).__name__}"
    return f"Flex or custom: {', '.join(foreign_ops(path))}" if foreign_ops(path) else "converted"


def agreement(model: Any, path: Path, inputs: np.ndarray) -> dict[str, Any]:
    """Returns how far a file is from Keras, by the same comparison for both sides."""
    import tfzip

    report = tfzip.compare(model, path, inputs, batch_size=4)
    (output,) = report.outputs
    first = report.first_divergent_op
    return {
        "bytes": path.stat().st_size,
        "cosine": output.cosine,
        "max_relative": output.max_relative,
        "mean_difference": output.mean_difference,
        "unit": output.unit,
        "top1_agreement": output.agreement,
        "first_divergent_op": f"{first.op} in {'+'.join(first.layers)}" if first else None,
    }


def measure(name: str, folder: Path) -> list[dict[str, Any]]:
    """Converts one network both ways and compares the files with it."""
    import tfzip
    from tfzip.errors import FileFormatError

    model, side = network(name)
    calibration, inputs = images(SAMPLES, side, SEED + 2), images(SAMPLES, side, SEED + 3)
    rows = []
    for scheme in ("float32", "int8"):
        peer = {"result": plain_converter(model, folder / "plain.tflite", scheme, calibration)}
        if peer["result"] == "converted":
            try:
                peer |= agreement(model, folder / "plain.tflite", inputs)
            except FileFormatError as error:
                peer["result"] = f"does not run: {str(error).replace(f'{folder}/', '')}"
        artifact = tfzip.export(model, folder / "m.tflite", scheme=scheme, calibration=calibration)
        ours = {
            "foreign_ops": foreign_ops(artifact.path),
            "float_islands": [f"{f.op} in {f.layer}" for f in artifact.findings if f.kind == "float_island"],
            **agreement(model, artifact.path, inputs),
        }
        rows.append({"network": name, "scheme": scheme, "plain_converter": peer, "tfzip": ours})
        print(
            f"{name:18} {scheme:8} {ours['bytes'] / 1e6:6.1f} MB  cosine {ours['cosine']:.6f}  "
            f"max relative {ours['max_relative']:.2e}  Flex or custom {len(ours['foreign_ops'])}  "
            f"islands {len(ours['float_islands'])}  | plain: {peer.get('cosine', peer['result'])}",
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
    clean = sum(not row["tfzip"]["foreign_ops"] for row in rows)
    print(f"{len(rows)} files from {len(chosen)} networks, {clean} without foreign operations")
    if not sys.argv[1:]:
        save("architectures", {"seed": SEED, "samples": SAMPLES, "rows": rows})


if __name__ == "__main__":
    main()
