"""MLPerf Tiny's trained ResNet-8 to full integer without training: the plain converter beside tfzip.

Both calibrate on the same 256 training images and are measured on the 10,000 CIFAR-10 test images.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from common import data_file, save

SEED, SAMPLES = 0, 256


def plain(model_path: Path, calibration: np.ndarray, target: Path) -> None:
    """Converts with TensorFlow's converter as its own guide does."""
    import keras
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(model_path))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    target.write_bytes(converter.convert())


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the share of right answers of a file and its answers, by the interpreter alone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=2)
    given = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(given["index"], [len(images) // 10, *images.shape[1:]])
    interpreter.allocate_tensors()
    scale, zero = given["quantization"]
    answers = []
    for part in np.array_split(images, 10):
        grid = part if not scale else np.clip(np.round(part / scale) + zero, -128, 127)
        interpreter.set_tensor(given["index"], grid.astype(given["dtype"]))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).argmax(-1))
    found = np.concatenate(answers)
    return float((found == labels).mean()), found


def main() -> None:
    """Converts both ways and prints bytes and accuracy side by side."""
    import keras

    import tfzip

    model_path, data = data_file("resnet8_cifar10.keras"), np.load(data_file("cifar10.npz"))
    train, images = data["x_train"], data["x_test"].astype("float32")
    labels = data["y_test"].reshape(-1)
    chosen = np.random.default_rng(SEED).choice(len(train), SAMPLES, replace=False)
    calibration = train[chosen].astype("float32")
    model = keras.models.load_model(model_path)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.tflite" for name in ("float32", "plain converter", "tfzip")}
        tfzip.export(model, files["float32"])
        plain(model_path, calibration, files["plain converter"])
        tfzip.export(model, files["tfzip"], scheme="int8", calibration=calibration)
        for name, path in files.items():
            share, _ = accuracy(path, images, labels)
            rows[name] = {"bytes": path.stat().st_size, "accuracy": share}
            print(f"{name:16} {rows[name]['bytes']:8,} bytes  {share:.4f}")
    reached = rows["tfzip"]["accuracy"] >= 0.870 and rows["tfzip"]["bytes"] <= 98_600
    print(f"bar: >= 0.8700 at <= 98,600 bytes: {'reached' if reached else 'missed'}")
    save("resnet8_int8", {"seed": SEED, "calibration_images": SAMPLES, "rows": rows, "reached": reached})
    sys.exit(not reached)


if __name__ == "__main__":
    main()
