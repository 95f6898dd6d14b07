"""What a teacher is worth on CIFAR-10: students from random weights, and networks that recover.

The teacher is trained by `recipes/cifar10_teacher.toml`. ResNet-8 is trained from random weights for as many
epochs with and without each loss; the published ResNet-8 recovers from the loss of half of its
multiply-accumulates, and from weights of four bits, with and without the original as a teacher. Rows of a
student have the same batches, rate and epochs. Losses have their default weights; 5,000 training rows that no
student is trained on choose the best, the test rows are used once, on the file of each row. A run that was
ended goes on where it was.
"""

import argparse
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aware_plan import AwarePlan
from common import data_file, save
from distill_plan import ALONE, AWARE_RATE, FOUR_BITS, HALF, KINDS, SCRATCH, STEPS, Kind
from narrow_plan import NarrowPlan
from parts import Parts

import tfzip
from tfzip.sandbox import run_isolated

NAME = "distillation_accuracy"
ROOT = Path(__file__).resolve().parents[1]
EPOCHS = {SCRATCH: 12, HALF: 4, FOUR_BITS: 4}
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95 %, by the number of seeds
BARS = {SCRATCH: 1.0, HALF: 0.0, FOUR_BITS: 0.0}


def main() -> None:
    """Trains what is not yet trained, prints all rows, and writes `results/distillation_accuracy.json`."""
    options = _options()
    parts = Parts(NAME)
    teacher, facts = _teacher(parts)
    jobs = [
        (kind, _plan(kind, seed))
        for seed in range(options.seeds)
        for kind in KINDS
        if not options.students or kind.student in options.students
    ]
    with ThreadPoolExecutor(options.workers) as pool:
        rows = list(pool.map(lambda job: _made(parts, teacher, *job), jobs))
    result = {"teacher": facts, "epochs": EPOCHS, "rows": rows, "table": _table(rows), "bars": _bars(rows)}
    for row in result["table"]:
        print(
            f"{row['kind']:42} {row['macs'] / 1e6:6.2f} M MACs {row['bytes']:8,.0f} bytes"
            f"  held out {row['held_out']:.4f}  test {row['test']:.4f} +- {row['spread']:.4f}"
        )
    for bar in result["bars"]:
        low, high = bar["interval"]
        print(
            f"{bar['what']}: {bar['points']:+.2f} points [{low:+.2f}, {high:+.2f}], bar {bar['least']:+.1f}:"
            f" {'reached' if bar['reached'] else 'missed'}"
        )
    print(f"written to {save(NAME, result)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", nargs="*", choices=tuple(EPOCHS), help="default all")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time (default 2)")
    return parser.parse_args()


def _teacher(parts: Parts) -> tuple[str, dict[str, Any]]:
    """Returns the path of the teacher and what its recipe found; a run that was ended goes on."""
    os.environ.setdefault("TFZIP_DATA", str(data_file("cifar10.npz").parent))
    folder = (parts.folder / "teacher").resolve()
    here = Path.cwd()
    os.chdir(ROOT)  # where the recipe's network is imported from
    try:
        report = tfzip.run_recipe("recipes/cifar10_teacher.toml", folder)
    finally:
        os.chdir(here)
    model = max(folder.glob("*train/model.keras"))  # of the last training
    return str(model), {"recipe": "recipes/cifar10_teacher.toml", "table": str(report.table)}


def _plan(kind: Kind, seed: int) -> AwarePlan:
    data, epochs = str(data_file("cifar10.npz")), EPOCHS[kind.student]
    if kind.student == FOUR_BITS:
        return AwarePlan("resnet8", data, seed, epochs, learning_rate=AWARE_RATE)
    rate, rise = STEPS[kind.student]
    return NarrowPlan("resnet8", data, seed, epochs, learning_rate=rate, rise=rise)


def _made(parts: Parts, teacher: str, kind: Kind, plan: AwarePlan) -> dict[str, Any]:
    name = f"{kind.name} {plan.seed}"
    published = str(data_file("resnet8_cifar10.keras"))
    cache, target = (str(parts.folder / path) for path in (f"answers {plan.seed}", f"{name}.tflite"))
    row = parts.made(
        name,
        plan,
        lambda: run_isolated("distill_keras:row", kind, plan, teacher, published, cache, target),
    )
    print(f"  {name}: held out {row['held_out'][-1]:.4f}, test {row['test']:.4f}", flush=True)
    return row


def _table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        tests = [row["test"] for row in own]
        found.append(
            {
                **{name: own[0][name] for name in ("kind", "student", "loss")},
                **{name: statistics.mean(row[name] for row in own) for name in ("macs", "bytes")},
                "seeds": len(own),
                "held_out": statistics.mean(row["held_out"][-1] for row in own),
                "test": statistics.mean(tests),
                "spread": statistics.stdev(tests) if len(tests) > 1 else 0.0,
            }
        )
    return found


def _bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what the loss that is best on held-out rows gains over labels alone, by student."""
    found = []
    for student, least in BARS.items():
        taught = [row for row in _table(rows) if row["student"] == student and row["loss"] != ALONE]
        if not taught:
            continue
        best = max(taught, key=lambda row: row["held_out"])["loss"]
        ours, alone = (
            {row["plan"]["seed"]: row["test"] for row in rows if (row["student"], row["loss"]) == pair}
            for pair in ((student, best), (student, ALONE))
        )
        gained = [100 * (ours[seed] - alone[seed]) for seed in sorted(ours.keys() & alone.keys())]
        if len(gained) < 2:
            continue
        mean = statistics.mean(gained)
        half = STUDENT_T[len(gained)] * statistics.stdev(gained) / len(gained) ** 0.5
        found.append(
            {
                "what": f"{student}: {best} less labels alone",
                "points": mean,
                "interval": [mean - half, mean + half],
                "least": least,
                "reached": mean >= least,
            }
        )
    return found


if __name__ == "__main__":
    main()
