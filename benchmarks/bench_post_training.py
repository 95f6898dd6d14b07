"""ResNet-8 with all weights in 4 bits and no training: AI Edge Quantizer beside tfzip, nearest and learned.

Activations are float in all files. For each seed all see the same 256 training images without labels. The
settings of tfzip were chosen on training images 45,000 to 50,000, which are kept apart from the calibration
images; every file is measured once on the 10,000 test images.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from bench_resnet8 import accuracy
from common import data_file, save
from mixed_peer import Peer
from selection import chosen_file

SEEDS, SAMPLES, HELD_OUT = (0, 1, 2), 256, 45_000
BAR_ACCURACY, BAR_BYTES = 0.85, 54_700


def files_of(
    model: object, calibration: np.ndarray, folder: Path, seed: int
) -> dict[str, tuple[Path, float]]:
    """Returns the files of one seed and the seconds that choosing their weights took."""
    import tfzip

    files = {"AI Edge Quantizer": (list(Peer(model, folder).walk(calibration))[-1][1], 0.0)}
    for name in ("to the nearest", "learned", "equalized, learned"):
        started, source = time.perf_counter(), model
        if name != "to the nearest":
            ready = tfzip.round_weights(
                model, "int4_weights", calibration=calibration, equalize="equalized" in name, seed=seed
            )
            source = ready.model
        seconds = time.perf_counter() - started
        path = folder / f"{name.replace(', ', '_').replace(' ', '_')}.tflite"
        tfzip.export(source, path, scheme="int4_weights")
        files[name] = path, seconds
    return files


def main() -> None:
    """Makes every file for each seed and prints bytes and accuracies side by side."""
    import keras

    data = np.load(data_file("cifar10.npz"))
    model, rows = keras.models.load_model(data_file("resnet8_cifar10.keras")), []
    splits = {
        "held out": (data["x_train"][HELD_OUT:], data["y_train"][HELD_OUT:]),
        "test": (data["x_test"], data["y_test"]),
    }
    for seed in SEEDS:
        chosen = np.random.default_rng(seed).choice(HELD_OUT, SAMPLES, replace=False)
        calibration = data["x_train"][chosen].astype("float32")
        with tempfile.TemporaryDirectory() as folder:
            for name, (path, seconds) in files_of(model, calibration, Path(folder), seed).items():
                row = {"file": name, "seed": seed, "bytes": path.stat().st_size, "seconds": seconds}
                for split, (images, labels) in splits.items():
                    row[split] = accuracy(path, images.astype("float32"), labels.reshape(-1))
                rows.append(row)
                print(row, flush=True)
    save("post_training", {"calibration_images": SAMPLES, "rows": rows, **summary(rows)})


def summary(rows: list[dict]) -> dict:
    """Returns what held-out images choose, and whether it meets the bar."""
    return chosen_file(
        rows, is_own=lambda name: name != "AI Edge Quantizer", bar_accuracy=BAR_ACCURACY, bar_bytes=BAR_BYTES
    )


if __name__ == "__main__":
    main()
