"""Does the simulation compute what the file computes? ResNet-8 and the stock architectures.

Each model gets its grids from calibration (`tfzip.quantize`) and is exported from them; then every operation
is compared, fed with the file's own tensors, and both run from input to output on XNNPACK. ResNet-8 has its
published weights and runs over CIFAR-10's test images, the others random weights and smooth random images
(see `bench_architectures`).
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_architectures import NAMES, images, network
from common import data_file, save

CALIBRATION, SEED = 8, 5


def main() -> None:
    """Prints a row for each model and writes `results/quantization_parity.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--test-images", type=int, default=10_000, help="for ResNet-8 (default 10000)")
    parser.add_argument("--architectures", type=int, default=len(NAMES), help="how many (default all)")
    parser.add_argument("--examples", type=int, default=8, help="inputs of each architecture (default 8)")
    options = parser.parse_args()
    print(f"{'':18}{'scheme':8}{'ops':>5}{'worst':>7}{'max':>6}{'mean':>8}{'top-1':>9}  drifts at")
    rows = {f"ResNet-8 {scheme}": resnet8(scheme, options.test_images) for scheme in ("int8", "w4a8")}
    for name in NAMES[: options.architectures]:
        rows[name] = architecture(name, options.examples)
    print(f"written to {save('quantization_parity', {'rows': rows})}")


def resnet8(scheme: str, count: int) -> dict[str, Any]:
    """Compares the published model over test images, of which none chooses anything."""
    import keras

    with np.load(data_file("cifar10.npz")) as stored:
        seen, unseen = (stored[name].astype(np.float32) for name in ("x_train", "x_test"))
    model = keras.models.load_model(data_file("resnet8_cifar10.keras"))
    return compared("ResNet-8", scheme, model, seen[:256], unseen[:count])


def architecture(name: str, count: int) -> dict[str, Any]:
    """Compares a stock architecture over images that did not calibrate it."""
    model, side = network(name)
    inputs = images(CALIBRATION + count, side, SEED)
    return compared(name, "int8", model, inputs[:CALIBRATION], inputs[CALIBRATION:])


def compared(name: str, scheme: str, model: Any, seen: np.ndarray, unseen: np.ndarray) -> dict[str, Any]:
    """Exports a model and compares the file with its simulation."""
    import tfzip

    simulated = tfzip.quantize(model, scheme, calibration=seen)
    with tempfile.TemporaryDirectory() as folder:
        file = tfzip.export(simulated.float_model, Path(folder) / "model.tflite", calibration=seen)
        report = tfzip.parity(simulated, file, unseen, examples=1)
    worst, drift = report.worst, report.grows_at
    row = {
        "ops": len(report.ops),
        "unmatched": report.unmatched,
        "worst_op_lsb": worst.max_lsb if worst else 0.0,
        "worst_op": worst.key if worst else "",
        "max_lsb": report.max_lsb,
        "mean_lsb": report.mean_lsb,
        "agreement": report.agreement,
        "samples": report.samples,
        "drifts_at": f"{drift.key} ({drift.op})" if drift else "",
        "float_islands": [f"{f.op} in {f.layer}" for f in file.findings if f.kind == "float_island"],
    }
    print(
        f"{name:18}{scheme:8}{row['ops']:5}{row['worst_op_lsb']:7.2f}{row['max_lsb']:6.0f}{row['mean_lsb']:8.4f}"
        f"{row['agreement']:9.2%}  {row['drifts_at']}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
