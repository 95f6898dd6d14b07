"""MLPerf Tiny's trained ResNet-8 to full integer without training: the plain converter beside tfzip.

Both calibrate on the same 256 training images and are measured on the 10,000 CIFAR-10 test images.
"""

import contextlib
import io
import statistics
import tempfile
from pathlib import Path

import numpy as np
from common import data_file, save

SEEDS, SAMPLES = (0, 1, 2), 256
BAR_ACCURACY, BAR_BYTES = 0.870, 98_600


def plain(model_path: Path, calibration: np.ndarray, target: Path) -> None:
    """Converts with TensorFlow's converter as its own guide does."""
    import keras
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.models.load_model(model_path))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):
        target.write_bytes(converter.convert())


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of right answers of a file, by the interpreter alone."""
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
    return float((np.concatenate(answers) == labels).mean())


def main() -> None:
    """Converts both ways for each seed and prints bytes and accuracy side by side."""
    import keras

    import tfzip

    model_path, data = data_file("resnet8_cifar10.keras"), np.load(data_file("cifar10.npz"))
    images, labels = data["x_test"].astype("float32"), data["y_test"].reshape(-1)
    model, rows = keras.models.load_model(model_path), []
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.tflite" for name in ("float32", "plain converter", "tfzip")}
        tfzip.export(model, files["float32"])
        for seed in SEEDS:
            chosen = np.random.default_rng(seed).choice(len(data["x_train"]), SAMPLES, replace=False)
            calibration = data["x_train"][chosen].astype("float32")
            plain(model_path, calibration, files["plain converter"])
            tfzip.export(model, files["tfzip"], scheme="int8", calibration=calibration)
            for name, path in files.items():
                rows.append(
                    {
                        "file": name,
                        "seed": seed,
                        "bytes": path.stat().st_size,
                        "accuracy": accuracy(path, images, labels),
                    }
                )
                print("{file:16} seed {seed}  {bytes:8,} bytes  {accuracy:.4f}".format(**rows[-1]))
    mean = {name: statistics.mean(r["accuracy"] for r in rows if r["file"] == name) for name in files}
    spread = {name: statistics.pstdev(r["accuracy"] for r in rows if r["file"] == name) for name in files}
    largest = max(r["bytes"] for r in rows if r["file"] == "tfzip")
    for name in files:
        print(f"{name:16} mean {mean[name]:.4f} +- {spread[name]:.4f}")
    reached = mean["tfzip"] >= BAR_ACCURACY and largest <= BAR_BYTES
    print(f"bar: >= {BAR_ACCURACY} at <= {BAR_BYTES:,} bytes: {'reached' if reached else 'missed'}")
    result = {"calibration_images": SAMPLES, "rows": rows, "mean": mean, "spread": spread, "reached": reached}
    save("resnet8_int8", result)


if __name__ == "__main__":
    main()
