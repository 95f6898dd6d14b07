"""Quantization-aware training beside plain training and TFMOT: what a file is worth, what a step costs.

ResNet-8 from its published weights and a MobileNetV2 trained here, on CIFAR-10: every side is given the same
rows, order, augmentation, optimizer and number of epochs, in a process of its own, and is measured by its
file on the 10,000 test images. Nothing is chosen on those. Every training leaves its result in the working
folder: the script goes on where it was ended, and puts together what is there.
"""

import argparse
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
from aware_file import scored
from aware_plan import TRAIN_ROWS, AwarePlan
from aware_report import bars, printed
from common import data_file, save
from parts import Parts

from tfzip.sandbox import Sandbox, run_isolated

NETWORKS = ("resnet8", "mobilenetv2")
KINDS = {
    "resnet8": ("float32", "int8", "w4a8", "mixed", "tfmot"),
    "mobilenetv2": ("float32", "int8", "tfmot"),
}
EPOCHS = {"resnet8": 5, "mobilenetv2": 2}
FAR_RATE = 0.001  # four bits are further away from the weights there are
LEGACY = {"TF_USE_LEGACY_KERAS": "1"}
STEP_KINDS = {
    "keras": ("tfzip", "plain"),
    "tfzip, grids moving": ("tfzip", "moving"),
    "tfzip, grids frozen": ("tfzip", "frozen"),
    "tf_keras": ("tfmot", "plain"),
    "tfmot": ("tfmot", "aware"),
}


def main() -> None:
    """Trains what is not yet trained, prints all sides, and writes `results/quantization_aware.json`."""
    options = _options()
    parts = Parts(options.name)
    result: dict[str, Any] = {"trained": {}, "step_time": {}}
    for network in NETWORKS:
        plans = [_plan(options, network, seed) for seed in range(options.seeds)]
        if network in options.parts:
            for plan in plans:
                for kind in options.kinds or KINDS[network]:
                    name = f"{network}_{kind}_{plan.seed}"
                    if options.again:
                        parts.forget(name)
                    own = _for_kind(plan, kind)
                    parts.made(name, own, lambda p=own, k=kind: _measured(parts, p, k))
        rows = [
            parts.read(f"{network}_{kind}_{plan.seed}", _for_kind(plan, kind))
            for plan in plans
            for kind in KINDS[network]
        ]
        result["trained"][network] = [row for row in rows if row]
    plan = AwarePlan("resnet8", _data(), epochs=1, images=64 * options.steps)
    if "step_time" in options.parts:
        parts.made("step_time", plan, lambda: _step_times(parts, plan, options.repeats))
    result["step_time"] = parts.read("step_time", plan)
    result["bars"] = bars(result)
    printed(result)
    print(f"written to {save(options.name, result)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = (*NETWORKS, "step_time")
    parser.add_argument("--parts", nargs="*", choices=parts, default=parts, help="what to run (default all)")
    parser.add_argument("--kinds", nargs="*", default=None, help="which sides to train (default all)")
    parser.add_argument(
        "--images", type=int, default=TRAIN_ROWS, help=f"training rows (default {TRAIN_ROWS})"
    )
    parser.add_argument("--epochs", type=int, help="epochs of every fit (default 5, and 2 for MobileNetV2)")
    parser.add_argument("--float-epochs", type=int, default=8, help="MobileNetV2's training (default 8)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each kind (default 1)")
    parser.add_argument("--steps", type=int, default=150, help="steps of a timed fit (default 150)")
    parser.add_argument("--repeats", type=int, default=5, help="timed fits of each kind (default 5)")
    parser.add_argument("--again", action="store_true", help="export and measure again what is trained")
    parser.add_argument("--name", default="quantization_aware", help="of the result and the working folder")
    return parser.parse_args()


def _plan(options: argparse.Namespace, network: str, seed: int) -> AwarePlan:
    return AwarePlan(network, _data(), seed, options.epochs or EPOCHS[network], options.images)


def _for_kind(plan: AwarePlan, kind: str) -> AwarePlan:
    return replace(plan, learning_rate=FAR_RATE) if kind in ("w4a8", "mixed") else plan


def _data() -> str:
    return str(data_file("cifar10.npz"))


def _start(parts: Parts, plan: AwarePlan) -> str:
    """Returns the model to start from: the published ResNet-8, or MobileNetV2, trained at the first call."""
    if plan.network == "resnet8":
        return str(data_file("resnet8_cifar10.keras"))
    path = parts.folder / f"mobilenetv2_{plan.images}.keras"
    if not path.exists():
        print("mobilenetv2 from scratch ...", flush=True)
        float_plan = AwarePlan(plan.network, plan.data, 0, _options().float_epochs, plan.images, 0.002)
        run_isolated("aware_keras:pretrain", float_plan, str(path))
    return str(path)


def _measured(parts: Parts, plan: AwarePlan, kind: str) -> dict[str, Any]:
    """Trains one kind, unless that is done, and measures its file."""
    target = parts.folder / f"{plan.network}_{kind}_{plan.seed}"
    fit = parts.made(f"{target.name}_fit", plan, lambda: _trained(parts, plan, kind, str(target)))
    if kind != "tfmot":
        run_isolated("aware_keras:export", plan, str(target))
    facts = scored(target.with_suffix(".tflite"), np.load(target.with_suffix(".npy")), *plan.test_rows())
    print(f"  file {facts['file_accuracy']:.4f}, agreement {facts['agreement']:.4f}", flush=True)
    return {"kind": kind, **facts, "fit_s": fit["fit_s"], "history": fit["history"]}


def _trained(parts: Parts, plan: AwarePlan, kind: str, target: str) -> dict[str, Any]:
    """Trains one kind in a process of its own."""
    start = _start(parts, plan)
    if kind != "tfmot":
        return run_isolated("aware_keras:train", start, plan, kind, target)
    weights = _checked_weights(start, plan)
    with Sandbox(env=LEGACY) as child:
        return child.call("aware_tf_keras:train", weights, plan, target)


def _checked_weights(start: str, plan: AwarePlan) -> Any:
    """Returns the weights by layer name, after a look that the twin in tf_keras answers the same."""
    images = plan.test_rows()[0][:32]
    with Sandbox() as ours, Sandbox(env=LEGACY) as theirs:
        weights, outputs = ours.call("fit_keras:weights_and_outputs", start, images)
        theirs.call("aware_tf_keras:check", weights, plan.network, images, outputs)
    return weights


def _step_times(parts: Parts, plan: AwarePlan, repeats: int) -> dict[str, Any]:
    """Times the kinds in turn, forwards and backwards."""
    start = _start(parts, plan)
    samples: dict[str, list[dict[str, float]]] = {kind: [] for kind in STEP_KINDS}
    with Sandbox() as ours, Sandbox(env=LEGACY) as theirs:
        sides = {
            "tfzip": (ours, "aware_keras", start),
            "tfmot": (theirs, "aware_tf_keras", _checked_weights(start, plan)),
        }
        for turn in range(repeats):
            for kind in list(STEP_KINDS)[:: -1 if turn % 2 else 1]:
                side, phase = STEP_KINDS[kind]
                child, module, given = sides[side]
                samples[kind].append(child.call(f"{module}:timed_steps", given, plan, phase))
                print(
                    f"  {turn + 1}/{repeats} {kind:20} {samples[kind][-1]['step_s'] * 1e3:6.1f} ms",
                    flush=True,
                )
    median = {
        kind: {clock: statistics.median(one[clock] for one in taken) for clock in taken[0]}
        for kind, taken in samples.items()
    }
    return {"samples": samples, "median": median}


if __name__ == "__main__":
    main()
