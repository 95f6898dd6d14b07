"""Four fifths of all weights zero: accuracy and size of the file, tfzip beside TFMOT.

Trains MLPerf Tiny's ResNet-8 on CIFAR-10 from its published weights, each side and seed with the same batches
and rate: without zeros, with `tfzip.PruningCallback`, the same with the published weights as a teacher, and
with TFMOT's `prune_low_magnitude`. The test images are used once, on the files; they choose nothing. A run
that was ended goes on where it was.
"""

import argparse
import shutil
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from aware_plan import AS_PUBLISHED, TRAIN_ROWS, AwarePlan
from bench_resnet8 import accuracy
from common import data_file, save
from parts import Parts
from sparse_plan import PLAIN, SPARSITY, TAUGHT, TFMOT, TFZIP

from tfzip.sandbox import Sandbox

RATE = 0.001
MOST_EPOCHS, BAR_POINTS = 8, 0.5


def main() -> None:
    """Measures, prints all sides, and writes `results/unstructured.json`."""
    options = _options()
    model = str(data_file("resnet8_cifar10.keras"))
    data = str(data_file("cifar10.npz"))
    plans = [
        AwarePlan("resnet8", data, seed, options.epochs, options.images, RATE)
        for seed in range(options.seeds)
    ]
    x, y = plans[0].test_rows()
    parts = Parts("unstructured")
    with Sandbox() as ours, Sandbox(env={"TF_USE_LEGACY_KERAS": "1"}) as theirs:
        weights, outputs = ours.call("sparse_keras:weights_and_outputs", model, x[:32])
        theirs.call("sparse_tf_keras:check", weights, x[:32], outputs)

        def measured(plan: AwarePlan, side: str) -> dict[str, Any]:
            folder = parts.folder / f"{side} {plan.seed}"
            folder.mkdir(exist_ok=True)
            if side == TFMOT:
                seen = theirs.call("sparse_tf_keras:train", weights, plan, str(folder))
            else:
                seen = ours.call("sparse_keras:train", model, plan, side, str(folder))
            row = _row(side, plan, seen, x, y)
            shutil.rmtree(folder)
            return row

        rows = [
            parts.made(f"{side} {plan.seed}", plan, lambda p=plan, s=side: measured(p, s))
            for plan in plans
            for side in (AS_PUBLISHED, PLAIN, TFMOT, TAUGHT, TFZIP)
        ]
    result = {"sparsity": SPARSITY, "rows": rows, "table": _table(rows), "bars": _bars(rows, options.epochs)}
    for row in result["table"]:
        print("{side:32} {file:16} {accuracy:.4f} +- {spread:.4f}  {bytes:9,.0f} bytes".format(**row))
    for name, value in result["bars"].items():
        print(f"{name:80} {value if isinstance(value, bool) else f'{value:+.3f}'}")
    result["plan"] = asdict(plans[0]) | {"data": "cifar10.npz"}
    print(f"written to {save('unstructured', result)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6, help="epochs of a fit (default 6)")
    parser.add_argument("--images", type=int, default=TRAIN_ROWS, help=f"rows (default {TRAIN_ROWS})")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    return parser.parse_args()


def _row(side: str, plan: AwarePlan, seen: dict[str, Any], x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    files = {
        kind: {"bytes": Path(path).stat().st_size, "accuracy": accuracy(Path(path), x, y)}
        for kind, path in seen["files"].items()
    }
    shown = ", ".join(f"{kind} {one['accuracy']:.4f} {one['bytes']:,} B" for kind, one in files.items())
    print(f"{side:32} seed {plan.seed}  {seen['sparsity']:.4f} zeros  {shown}", flush=True)
    return {"side": side, "seed": plan.seed, **seen, "files": files}


def _table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for side in dict.fromkeys(row["side"] for row in rows):
        own = [row["files"] for row in rows if row["side"] == side]
        for kind in own[0]:
            accuracies = [files[kind]["accuracy"] for files in own]
            size = statistics.mean(files[kind]["bytes"] for files in own)
            facts = {"accuracy": statistics.mean(accuracies), "spread": statistics.pstdev(accuracies)}
            found.append({"side": side, "file": kind, **facts, "bytes": size})
    return found


def _bars(rows: list[dict[str, Any]], epochs: int) -> dict[str, float | bool]:
    mean = {(one["side"], one["file"]): one["accuracy"] for one in _table(rows)}
    found: dict[str, float | bool] = {}
    for side in (TFZIP, TAUGHT):
        ours = mean[side, "float32, sparse"]
        published = 100 * (ours - mean[AS_PUBLISHED, "float32"])
        found |= {
            f"{side}: points against the published weights": published,
            f"{side}: points against the same training without zeros": 100 * (ours - mean[PLAIN, "float32"]),
            f"{side}: points against TFMOT": 100 * (ours - mean[TFMOT, "float32, sparse"]),
            f"{side}: reached": published >= -BAR_POINTS and epochs <= MOST_EPOCHS,
        }
    return found


if __name__ == "__main__":
    main()
