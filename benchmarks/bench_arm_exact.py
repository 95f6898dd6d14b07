"""Emulated ARM cores: outputs as on this machine, counts equal in every run, operations that add up.

ResNet-8 on CIFAR-10's training images and MobileNetV2 on smooth random ones, float32 and int8. Beside the
native runner on three cores, an AArch64 Python with tflite-runtime 2.14 computes the same inputs; it runs
integers without XNNPACK, and is compared with the plain kernels of this machine.
"""

import argparse
import json
import subprocess
import tempfile
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Any

import arm_python
import keras
import numpy as np
from arm_models import network
from common import save

import tfzip
from tfzip.bench.agreement import agreement
from tfzip.bench.native.toolchain import source
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.reference import reference_of
from tfzip.errors import DeviceError

NETWORKS = ("ResNet-8", "MobileNetV2")
CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
PYTHON = "AArch64 Python, tflite-runtime 2.14"
IMAGES, REPEATS = 4, 5
# Pixels, output and input channels that XNNPACK's matrix kernels take at a time; what is missing is padded.
TILES = {
    "float32": {"cortex-a53": (6, 8, 1), "cortex-a72": (4, 8, 1), "cortex-a76": (6, 8, 1)},
    "int8": {"cortex-a53": (4, 16, 1), "cortex-a72": (2, 8, 8), "cortex-a76": (4, 16, 4)},
}
BARS = {"float": 1e-5, "spread": 1e-4, "covered": 0.995, "macs": 0.02}


def main() -> None:
    """Runs everything, prints it, and writes `results/arm_exact.json`."""
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        python = arm_python.make(options.python) if options.python else None
        for name in NETWORKS:
            model, images = network(name)
            for scheme in ("float32", "int8"):
                path = Path(folder) / f"{name}-{scheme}.tflite"
                tfzip.export(
                    model, path, scheme=scheme, **({"calibration": images} if scheme == "int8" else {})
                )
                for core in CORES:
                    rows.append(_on_core(name, scheme, path, core, images[:IMAGES], model))
                    print(_line(rows[-1]), flush=True)
                if python:
                    rows.append(_in_python(name, scheme, path, images[:IMAGES], python))
                    print(_line(rows[-1]), flush=True)
    print(f"written to {save('arm_exact', {'bars': BARS, 'rows': rows})}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", type=Path, help="folder for an AArch64 Python, made there (75 MB; needs apt)"
    )
    return parser.parse_args()


def _on_core(
    name: str, scheme: str, path: Path, core: str, images: np.ndarray, model: keras.Model
) -> dict[str, Any]:
    reports = [
        tfzip.benchmark(path, device=f"qemu:{core}", data=images, timeout_s=120.0).instructions[0]
        for _ in range(REPEATS)
    ]
    totals = [report.instructions.total for report in reports]
    counted = reports[0].instructions
    macs = tfzip.profile(model).macs
    tiled = macs + padded(model, *TILES[scheme][core])
    return {
        "network": name,
        "scheme": scheme,
        "where": core,
        "totals": totals,
        "spread": (max(totals) - min(totals)) / min(totals),
        "covered": reports[0].covered,
        "macs": counted.macs,
        "macs_off": counted.macs / macs - 1,
        "macs_off_tiled": counted.macs / tiled - 1,
        "agreement": asdict(reports[0].agreement),
    }


def padded(model: keras.Model, pixels: int, outputs: int, inputs: int) -> int:
    """Returns the multiply-accumulates that kernels pad to whole tiles, but those of depthwise kernels."""
    found = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            rows, (depth, width) = 1, layer.kernel.shape
        elif isinstance(layer, keras.layers.Conv2D):
            rows, width = layer.output.shape[1] * layer.output.shape[2], layer.filters
            depth = layer.input.shape[-1]
        else:
            continue
        places = layer.kernel.shape[0] * layer.kernel.shape[1] if len(layer.kernel.shape) > 2 else 1
        whole = _up(rows, pixels if rows > 1 else 1) * _up(width, outputs) * _up(depth, inputs)
        found += places * (whole - rows * width * depth)
    return found


def _up(size: int, tile: int) -> int:
    return ceil(size / tile) * tile


def _in_python(name: str, scheme: str, path: Path, images: np.ndarray, root: Path) -> dict[str, Any]:
    """Computes with the agent; a difference beyond a step is a row, not an end."""
    reference = reference_of(Workload(path, 1, images), BenchPlan(), portable=scheme == "int8")
    command = [*arm_python.command(root), str(source("agent.py")), "--model", str(path)]

    def events(*options: str) -> list[dict[str, Any]]:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder) / "inputs", Path(folder) / "outputs"
        inputs.write_bytes(reference.packed(events("--memory")[0]["inputs"]))
        opened = events("--memory", "--inputs", str(inputs), "--outputs", str(outputs))[0]
        try:
            found = asdict(agreement(reference, outputs.read_bytes(), opened["outputs"]))
        except DeviceError as error:
            found = {"error": str(error)}
    return {"network": name, "scheme": scheme, "where": PYTHON, "agreement": found}


def _line(row: dict[str, Any]) -> str:
    agreed = row["agreement"]
    same = agreed.get("error") or ("identical" if agreed["identical"] else f"off by {agreed['largest']:.2g}")
    head = f"{row['network']:12} {row['scheme']:8} {row['where']:36} {same}"
    if "totals" not in row:
        return head
    return (
        f"{head}  {row['totals'][0]:,} instructions, spread {row['spread']:.1e}, operations"
        f" {row['covered']:.2%}, MACs {row['macs_off']:+.2%}, with padded ones {row['macs_off_tiled']:+.3%}"
    )


if __name__ == "__main__":
    main()
