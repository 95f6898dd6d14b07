"""What pruning costs while training, and whether it holds at every batch: tfzip beside TFMOT.

Trains MLPerf Tiny's ResNet-8 on CIFAR-10 from its published weights in four ways: Keras 3 without and
with `tfzip.PruningCallback`, tf_keras without and with TFMOT's `prune_low_magnitude`. Each side has a process
of its own; fits of the four kinds take turns. A fit is timed from call to return, with tracing and every
mask update, by the clock and in processor time, which a busy machine disturbs less. One more pruned fit per
side, not timed, counts the zeros after every batch.
"""

import argparse
import os
import statistics
from dataclasses import asdict
from importlib.metadata import version

import numpy as np
from common import data_file, save
from fit_plan import SEED, SPARSITY, FitPlan

from tfzip.sandbox import Sandbox

KINDS = {
    "keras": ("tfzip", False),
    "keras_tfzip": ("tfzip", True),
    "tf_keras": ("tfmot", False),
    "tf_keras_tfmot": ("tfmot", True),
}


def main() -> None:
    """Measures, prints both sides, and writes `results/pruning_fit.json`."""
    options = _options()
    model = str(data_file("resnet8_cifar10.keras"))
    plan = FitPlan(options.steps, options.epochs, options.batch_size, str(data_file("cifar10.npz")))
    with Sandbox() as ours, Sandbox(env={"TF_USE_LEGACY_KERAS": "1"}) as theirs:
        with np.load(plan.data) as stored:
            images = stored["x_test"][:32].astype(np.float32)
        weights, outputs = ours.call("fit_keras:weights_and_outputs", model, images)
        theirs.call("fit_tf_keras:check", weights, images, outputs)
        sides = {"tfzip": (ours, "fit_keras", model), "tfmot": (theirs, "fit_tf_keras", weights)}
        samples = _interleaved(sides, plan, options.repeats)
        seen = {
            name: child.call(f"{module}:observed_fit", start, plan)
            for name, (child, module, start) in sides.items()
        }
    result = {
        "plan": asdict(plan) | {"every": plan.every, "end": plan.end, "sparsity": SPARSITY, "seed": SEED},
        "tf_keras": version("tf_keras"),
        "threads": os.cpu_count(),
        "samples": samples,
        "median_fit_s": {kind: _median(samples[kind], "fit_s") for kind in KINDS},
        "median_cpu_s": {kind: _median(samples[kind], "cpu_s") for kind in KINDS},
        "ratio": _ratios(samples, "fit_s"),
        "cpu_ratio": _ratios(samples, "cpu_s"),
        "sparsity_at_batch_end": seen,
    }
    _report(result, plan)
    print(f"written to {save('pruning_fit', result)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="batches per epoch (default 200)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of a fit (default 2)")
    parser.add_argument("--batch-size", type=int, default=64, help="rows per batch (default 64)")
    parser.add_argument("--repeats", type=int, default=5, help="fits of each kind (default 5)")
    return parser.parse_args()


def _interleaved(sides: dict, plan: FitPlan, repeats: int) -> dict[str, list[dict]]:
    """Runs the four kinds in turn, forwards and backwards, after one short fit of each to warm up."""
    warm_up = FitPlan(5, 1, plan.batch_size, plan.data)
    samples: dict[str, list[dict]] = {kind: [] for kind in KINDS}
    for turn in range(repeats + 1):
        for kind in list(KINDS)[:: 1 if turn % 2 else -1]:
            side, pruned = KINDS[kind]
            child, module, start = sides[side]
            sample = child.call(f"{module}:timed_fit", start, plan if turn else warm_up, pruned)
            if turn:
                samples[kind].append(sample)
                print(f"  {turn}/{repeats} {kind:15} {sample['fit_s']:6.2f} s", flush=True)
    return samples


def _median(samples: list[dict], clock: str) -> float:
    return statistics.median(sample[clock] for sample in samples)


def _ratios(samples: dict[str, list[dict]], clock: str) -> dict[str, dict]:
    return {
        "tfzip": _ratio(samples["keras_tfzip"], samples["keras"], clock),
        "tfmot": _ratio(samples["tf_keras_tfmot"], samples["tf_keras"], clock),
    }


def _ratio(pruned: list[dict], plain: list[dict], clock: str) -> dict[str, float | list[float]]:
    each = [one[clock] / other[clock] for one, other in zip(pruned, plain, strict=True)]
    return {
        "of_medians": _median(pruned, clock) / _median(plain, clock),
        "median_of_pairs": statistics.median(each),
        "pairs": each,
    }


def _report(result: dict, plan: FitPlan) -> None:
    length = f"{plan.epochs} x {plan.steps} steps of {plan.batch_size}"
    print(f"\nResNet-8 on CIFAR-10, {length}, {SPARSITY:.0%} zeros")
    median, ratio, cpu = result["median_fit_s"], result["ratio"], result["cpu_ratio"]
    settled = [result["sparsity_at_batch_end"][side][plan.end + 1 : -1] for side in ("tfzip", "tfmot")]
    rows = [
        ("", "tfzip", "TFMOT"),
        ("fit without pruning, s", f"{median['keras']:.2f}", f"{median['tf_keras']:.2f}"),
        ("fit with pruning, s", f"{median['keras_tfzip']:.2f}", f"{median['tf_keras_tfmot']:.2f}"),
        ("with / without", *(f"{ratio[side]['of_medians']:.3f}" for side in ("tfzip", "tfmot"))),
        ("the same in processor time", *(f"{cpu[side]['of_medians']:.3f}" for side in ("tfzip", "tfmot"))),
        ("least sparsity at a batch end*", *(f"{min(values):.4f}" for values in settled)),
        ("most sparsity at a batch end*", *(f"{max(values):.4f}" for values in settled)),
    ]
    for label, ours, theirs in rows:
        print(f"{label:34}{ours:>10}{theirs:>10}")
    print(f"* over {len(settled[0])} batches after the schedule has ended, in the middle of the last epoch")


if __name__ == "__main__":
    main()
