"""Sixteen shared values and int8: the size to download and the accuracy, tfzip beside TFMOT.

Trains MLPerf Tiny's ResNet-8 on CIFAR-10 from its published weights, each side and seed with the same batches
and rate: in float, with `tfzip.ClusteringCallback` and with TFMOT's `cluster_weights`. Every model becomes an
int8 file, which is measured on the device, in an APK (DEFLATE) and packed. The test images are used once, on
the files; they choose nothing. A run that was ended goes on where it was: what is measured already lies below
`results/work/`.
"""

import argparse
import statistics
from dataclasses import asdict
from pathlib import Path

import numpy as np
from aware_plan import AS_PUBLISHED, TRAIN_ROWS, AwarePlan
from bench_resnet8 import accuracy
from common import data_file, save
from parts import Parts

from tfzip.packing import size_report
from tfzip.sandbox import Sandbox
from tfzip.tflite import read

RATE = 0.001
BAR_SIZE, BAR_POINTS, FLOAT_ACCURACY = 0.5, 0.5, 0.8719
PLAIN = "int8, the same training in float"
OURS = ("tfzip", "tfzip, a codebook for each channel")
THEIRS = ("TFMOT", "TFMOT, a codebook for each channel")


def main() -> None:
    """Measures, prints all sides, and writes `results/weight_sharing.json`."""
    options = _options()
    model = str(data_file("resnet8_cifar10.keras"))
    plans = [
        AwarePlan("resnet8", str(data_file("cifar10.npz")), seed, options.epochs, options.images, RATE)
        for seed in range(options.seeds)
    ]
    x, y = plans[0].test_rows()
    parts = Parts(f"weight_sharing_{options.clusters}")
    with Sandbox() as ours, Sandbox(env={"TF_USE_LEGACY_KERAS": "1"}) as theirs:
        weights, outputs = ours.call("sharing_keras:weights_and_outputs", model, x[:32])
        theirs.call("sharing_tf_keras:check", weights, x[:32], outputs)

        def measured(plan: AwarePlan, side: str) -> dict:
            path = parts.folder / "model.tflite"
            if side in THEIRS:
                seen = theirs.call("sharing_tf_keras:train", weights, plan, side, options.clusters, str(path))
            else:
                seen = ours.call("sharing_keras:train", model, plan, side, options.clusters, str(path))
            return _row(side, plan, path, seen, x, y)

        sides = (AS_PUBLISHED, PLAIN, *OURS, *(THEIRS if options.peer else ()))
        rows = [
            parts.made(f"{side} {plan.seed}", plan, lambda p=plan, s=side: measured(p, s))
            for plan in plans
            for side in sides
        ]
    result = {
        "plan": asdict(plans[0]) | {"data": "cifar10.npz", "clusters": options.clusters},
        "rows": rows,
        "mean": _means(rows),
        "bars": _bars(rows),
    }
    _print(result["mean"], result["bars"])
    print(f"written to {save('weight_sharing', result)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clusters", type=int, default=16, help="values of a codebook (default 16)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a fit (default 3)")
    parser.add_argument("--images", type=int, default=TRAIN_ROWS, help=f"rows (default {TRAIN_ROWS})")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave TFMOT out")
    return parser.parse_args()


def _row(side: str, plan: AwarePlan, path: Path, held_out: list[float], x: np.ndarray, y: np.ndarray) -> dict:
    graph = read(path)
    kernels = [t for t in graph.main.tensors if t.is_constant and t.dtype == "int8" and len(t.scales) > 1]
    row = {
        "side": side,
        "seed": plan.seed,
        **asdict(size_report(path)),
        "accuracy": accuracy(path, x, y),
        "held_out_by_epoch": held_out,
        "most_integers_of_a_kernel": max(len(np.unique(graph.constant(t))) for t in kernels),
        "most_integers_of_a_channel": max(
            len(np.unique(row)) for t in kernels for row in _channels(graph.constant(t), t.quantized_axis)
        ),
    }
    print(
        "{side:36} seed {seed}  {accuracy:.4f}  {device_bytes:7,} on the device"
        "  {deflate_bytes:7,} in an APK  {packed_bytes:7,} packed".format(**row),
        flush=True,
    )
    return row


def _channels(values: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _means(rows: list[dict]) -> dict[str, dict[str, float]]:
    sides = list(dict.fromkeys(row["side"] for row in rows))
    names = ("accuracy", "device_bytes", "deflate_bytes", "packed_bytes")
    means = {}
    for side in sides:
        own = [row for row in rows if row["side"] == side]
        means[side] = {name: statistics.mean(row[name] for row in own) for name in names}
        means[side]["accuracy_spread"] = statistics.pstdev(row["accuracy"] for row in own)
    return means


def _bars(rows: list[dict]) -> dict[str, bool | float]:
    """Says whether the default reaches half the int8 file, and the float accuracy less half a point."""
    mean = _means(rows)
    share = mean["tfzip"]["packed_bytes"] / mean[AS_PUBLISHED]["device_bytes"]
    points = 100 * (mean["tfzip"]["accuracy"] - FLOAT_ACCURACY)
    trained = 100 * (mean["tfzip"]["accuracy"] - mean[PLAIN]["accuracy"])
    return {
        "packed_share_of_int8_file": share,
        "size_reached": share <= BAR_SIZE,
        "points_against_published_float": points,
        "points_against_the_same_float_training": trained,
        "accuracy_reached": points >= -BAR_POINTS,
    }


def _print(means: dict[str, dict[str, float]], bars: dict[str, bool | float]) -> None:
    print(f"\n{'mean':36} {'accuracy':>16} {'device':>9} {'APK':>9} {'packed':>9}")
    for side, mean in means.items():
        print(
            f"{side:36} {mean['accuracy']:.4f} +- {mean['accuracy_spread']:.4f}  {mean['device_bytes']:9,.0f}"
            f" {mean['deflate_bytes']:9,.0f} {mean['packed_bytes']:9,.0f}"
        )
    for name, value in bars.items():
        print(f"{name:42} {value if isinstance(value, bool) else f'{value:.3f}'}")


if __name__ == "__main__":
    main()
