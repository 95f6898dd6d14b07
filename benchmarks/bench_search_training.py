"""A network found under a cap of multiply-accumulates beside MobileNetV2 scaled by hand to the same cap.

Fashion-MNIST, 2 million multiply-accumulates. A search of 40 trials by evolution, each of three epochs on
20,000 training rows, chooses by 5,000 training rows that nothing is trained on. What it found, the
MobileNetV2 of Keras at width 0.5, and MobileNetV2 with strides for such images, halved by the first layer or
later, at the widest multiplier within the cap are then trained from random weights alike, with three seeds;
the test rows are used once, on the int8 file of each. The peer is the one that is best on the held-out rows.
"""

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common import data_file, save
from parts import Parts
from search_plan import CAP, EARLY, FOUND, LATE, SEARCH_ROWS, STOCK, Training

import tfzip
from recipes.fashion_networks import space
from tfzip.sandbox import run_isolated

NAME = "search_training"
SEEDS, TRIALS, BAR = range(3), 40, 0.5
KINDS = (FOUND, STOCK, EARLY, LATE)
STUDENT_T = {2: 12.706, 3: 4.303}  # two-sided 95 %, by the number of seeds


def main() -> None:
    """Searches and trains what is not yet trained, prints all, and writes `results/search_training.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time (default 2)")
    options = parser.parse_args()
    parts, data = Parts(NAME), str(data_file("fashion_mnist.npz"))
    found = _searched(parts, data, options.workers)
    choices = dict(found.best.choices)
    print(
        f"found within {CAP:,.0f} of {len(found.trials)}: {choices}, {dict(found.best.metrics)}", flush=True
    )
    jobs = [(kind, Training(data, seed)) for seed in SEEDS for kind in KINDS]
    with ThreadPoolExecutor(options.workers) as pool:
        rows = list(pool.map(lambda job: _made(parts, choices, *job), jobs))
    table = [_line(rows, kind) for kind in KINDS]
    peer = max(table[1:], key=lambda row: row["held_out"])["kind"]
    apart = [
        100 * (ours["test"] - other["test"])
        for ours in rows
        for other in rows
        if (ours["kind"], other["kind"]) == (FOUND, peer) and ours["plan"]["seed"] == other["plan"]["seed"]
    ]
    mean = statistics.mean(apart)
    half = STUDENT_T[len(apart)] * statistics.stdev(apart) / len(apart) ** 0.5
    print(
        f"found less {peer}: {mean:+.2f} points [{mean - half:+.2f}, {mean + half:+.2f}], bar {BAR:+.1f}:"
        f" {'reached' if mean >= BAR else 'missed'}"
    )
    result = {"choices": choices, "trials": len(found.trials), "rows": rows, "table": table}
    result |= {"points": mean, "interval": [mean - half, mean + half], "bar": BAR, "peer": peer}
    print(f"written to {save(NAME, result)}")


def _searched(parts: Parts, data: str, workers: int) -> tfzip.SearchResult:
    """Returns the outcome of the search, which several threads share."""
    networks, storage = space(), parts.folder / "search.journal"
    training = Training(data, 0, epochs=3)

    def objective(choices: dict[str, Any]) -> dict[str, float]:
        costs = {"macs": float(tfzip.profile(networks.build(choices)).macs)}
        if costs["macs"] > CAP:
            return costs
        return costs | run_isolated("search_keras:trial", choices, training, SEARCH_ROWS)

    def searching(_: int) -> tfzip.SearchResult:
        return tfzip.search(
            networks.space,
            objective,
            strategy={"name": "evolution", "population": 12, "tournament": 5},
            constraints={"macs": CAP},
            trials=TRIALS,
            storage=storage,
            progress=lambda line: print(f"  {line}", flush=True),
        )

    with ThreadPoolExecutor(workers) as pool:
        return next(iter(pool.map(searching, range(workers))))


def _made(parts: Parts, choices: dict[str, Any], kind: str, training: Training) -> dict[str, Any]:
    name = f"{kind} {training.seed}"
    target = str(parts.folder / f"{name}.tflite")
    row = parts.made(
        name, training, lambda: run_isolated("search_keras:train", kind, choices, training, target)
    )
    print(f"  {name}: held out {row['held_out']:.4f}, test {row['test']:.4f}", flush=True)
    return row


def _line(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    own = [row for row in rows if row["kind"] == kind]
    tests = [row["test"] for row in own]
    found = {"kind": kind, "macs": own[0]["macs"], "bytes": own[0]["bytes"]}
    found |= {"held_out": statistics.mean(row["held_out"] for row in own), "test": statistics.mean(tests)}
    found["spread"] = statistics.stdev(tests)
    print(
        f"{kind:36} {found['macs'] / 1e6:5.2f} M MACs {found['bytes']:8,} bytes  held out"
        f" {found['held_out']:.4f}  test, int8 {found['test']:.4f} +- {found['spread']:.4f}"
    )
    return found


if __name__ == "__main__":
    main()
