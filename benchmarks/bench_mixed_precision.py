"""ResNet-8 within 65,000 bytes without training: AI Edge Quantizer's widths chosen greedily beside tfzip's.

Both see the same 256 training images without labels, for each seed. What tfzip is asked for (its base scheme
and whether rounding is learned) was chosen on training images 45,000 to 50,000, which are kept apart from the
calibration images; every file is then measured once on the 10,000 test images.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from bench_resnet8 import accuracy
from common import data_file, save
from mixed_peer import Peer
from selection import chosen_file

SEEDS, SAMPLES, HELD_OUT = (0, 1, 2), 256, 45_000
BAR_ACCURACY, BAR_BYTES = 0.865, 65_000
BASES = ("int8", "int8_weights")


def peer_files(model: object, calibration: np.ndarray, folder: Path) -> dict[str, Path]:
    """Returns the peer's first file within the bar, and the one before it, which is just above."""
    files = list(Peer(model, folder).walk(calibration))
    within = next(i for i, (_, path) in enumerate(files) if path.stat().st_size <= BAR_BYTES)
    chosen = {"peer, within": files[within], "peer, one layer less": files[max(within - 1, 0)]}
    return {name: path for name, (_, path) in chosen.items()}


def own_files(model: object, calibration: np.ndarray, folder: Path, seed: int) -> dict[str, Path]:
    """Returns tfzip's files: both bases, weights rounded to the nearest and as `round_weights` learns it."""
    import tfzip

    files = {}
    for base in BASES:
        found = tfzip.assign_precision(model, calibration, BAR_BYTES, scheme=base)
        print(f"seed {seed}  {base}: {found}")
        needed = calibration if found.scheme.needs_calibration else None
        sources = {"nearest": model}
        for equalize in (False, True):
            ready = tfzip.round_weights(
                model, found.scheme, calibration=calibration, equalize=equalize, seed=seed
            )
            sources["equalized and learned" if equalize else "learned"] = ready.model
        for name, source in sources.items():
            path = folder / f"{base}_{name.replace(' ', '_')}.tflite"
            tfzip.export(source, path, scheme=found.scheme, calibration=needed)
            files[f"{base}, {name}"] = path
    return files


def main() -> None:
    """Makes every file for each seed and prints bytes and accuracies side by side."""
    import keras

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", action="store_true", help="measure on held-out training images only")
    held_out_only = parser.parse_args().held_out
    data = np.load(data_file("cifar10.npz"))
    model, rows = keras.models.load_model(data_file("resnet8_cifar10.keras")), []
    splits = {"held out": (data["x_train"][HELD_OUT:], data["y_train"][HELD_OUT:])}
    if not held_out_only:
        splits["test"] = (data["x_test"], data["y_test"])
    for seed in SEEDS:
        chosen = np.random.default_rng(seed).choice(HELD_OUT, SAMPLES, replace=False)
        calibration = data["x_train"][chosen].astype("float32")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = peer_files(model, calibration, folder) | own_files(model, calibration, folder, seed)
            for name, path in files.items():
                row = {"file": name, "seed": seed, "bytes": path.stat().st_size}
                for split, (images, labels) in splits.items():
                    row[split] = accuracy(path, images.astype("float32"), labels.reshape(-1))
                rows.append(row)
                print(row)
    if not held_out_only:
        save("mixed_precision", {"calibration_images": SAMPLES, "rows": rows, **summary(rows)})


def summary(rows: list[dict]) -> dict:
    """Returns what held-out images choose, and whether it meets the bar."""
    return chosen_file(
        rows, is_own=lambda name: not name.startswith("peer"), bar_accuracy=BAR_ACCURACY, bar_bytes=BAR_BYTES
    )


if __name__ == "__main__":
    main()
