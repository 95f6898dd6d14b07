"""Search strategies on tables of trained networks: how good what they return is, and that it keeps its caps.

NAS-Bench-Macro with 100 trials, without a cap and with one of 60 million FLOPs; with 200 trials, accuracy
against FLOPs, as the share of the hypervolume of all 6,561 networks. NAS-Bench-201 with 200 trials under caps
on latencies measured on a Pixel 3 and a Raspberry Pi 4, by validation accuracy, with the test accuracy of
what was found beside. Drawing at random and Optuna's TPE stand beside. Strategies were set with other seeds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from common import save
from tables import Cells, Macro

import tfzip

SEEDS = range(100, 115)
MACRO_CAP = 60e6
CELL_DEVICES, CELL_SHARES = ("pixel3", "raspi4"), (0.1, 0.25, 0.5)
BY_SAMPLES = ("random", "tpe", "evolution", "reinforce")
BARS = {
    ("macro", "evolution"): 93.05,
    ("macro, 60 MFLOPs", "evolution"): 92.38,
    ("macro, front", "nsga2"): 0.95,
    ("macro", "gradient"): 93.0,
}


def main() -> None:
    """Searches, prints the table, and writes `results/search_tables.json`."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    began, macro, rows = time.perf_counter(), Macro(), []

    def best(metric: str) -> Callable[[Any], float]:
        return lambda found: found.best.metrics[metric]

    for task, caps in (("macro", {}), ("macro, 60 MFLOPs", {"flops": MACRO_CAP})):
        for name in (*BY_SAMPLES, "gradient"):
            trials = 1 if name == "gradient" else 100
            rows.append(_row(task, name, macro, macro.space, best("accuracy"), trials, constraints=caps))
    for name in ("random", "tpe", "nsga2", "reinforce"):
        wanted = ["accuracy", "-flops"]
        rows.append(
            _row(
                "macro, front",
                name,
                macro,
                macro.space,
                lambda found: macro.share(found.trials),
                200,
                maximize=wanted,
            )
        )
    for device in CELL_DEVICES:
        cells = Cells(device)
        for share in CELL_SHARES:
            caps = {"latency_ms": cells.cap(share)}
            task = f"cells, {device} <= {caps['latency_ms']:.1f} ms"
            for name in BY_SAMPLES:
                rows.append(_row(task, name, cells, cells.space, best("accuracy"), 200, constraints=caps))
    optimum = {"macro": macro.best(), "macro, 60 MFLOPs": macro.best(MACRO_CAP), "macro, front": 1.0}
    bars = _bars(rows)
    for bar, reached in bars.items():
        print(f"{bar:70} {'reached' if reached else 'missed'}")
    minutes = (time.perf_counter() - began) / 60
    result = {"seeds": list(SEEDS), "minutes": minutes, "optimum": optimum, "rows": rows, "bars": bars}
    print(f"{minutes:.1f} minutes, written to {save('search_tables', result)}")


def _row(
    task: str,
    name: str,
    objective: Any,
    space: tfzip.Space,
    score: Callable[[Any], float],
    trials: int,
    **options: Any,
) -> dict[str, Any]:
    found, took = [], []
    for seed in SEEDS:
        began = time.perf_counter()
        result = tfzip.search(
            space, objective, strategy=name, trials=trials, seed=seed, storage=":memory:", **options
        )
        took.append(1e3 * (time.perf_counter() - began) / trials)
        caps = options.get("constraints", {})
        kept = all(result.best.metrics[metric] <= cap for metric, cap in caps.items())
        found.append(
            {"seed": seed, "score": score(result), "kept": kept, "metrics": dict(result.best.metrics)}
        )
    scores = [one["score"] for one in found]
    row = {
        "task": task,
        "strategy": name,
        "trials": trials,
        "mean": statistics.mean(scores),
        "spread": statistics.stdev(scores),
        "kept": all(one["kept"] for one in found),
        "test": statistics.mean(one["metrics"].get("test", 0.0) for one in found) or None,
        "ms_per_trial": statistics.median(took),
        "runs": found,
    }
    print(
        f"{task:28} {name:10} {trials:4} trials  {row['mean']:8.3f} +- {row['spread']:.3f}"
        f"{'' if row['test'] is None else ' (test {:.3f})'.format(row['test'])}"
        f"  {'within caps' if row['kept'] else 'ABOVE A CAP'}  {row['ms_per_trial']:.1f} ms each",
        flush=True,
    )
    return row


def _bars(rows: list[dict[str, Any]]) -> dict[str, bool]:
    mean = {(row["task"], row["strategy"]): row["mean"] for row in rows}
    found = {f"{task}: {name} >= {least}": mean[task, name] >= least for (task, name), least in BARS.items()}
    for task, name in mean:
        if name == "reinforce" and task.startswith("macro"):
            found[f"{task}: reinforce better than random"] = mean[task, name] > mean[task, "random"]
        if name == "evolution" and task.startswith("cells"):
            found[f"{task}: evolution >= random"] = mean[task, name] >= mean[task, "random"]
    found["every network that was returned keeps its caps"] = all(row["kept"] for row in rows)
    return found


if __name__ == "__main__":
    main()
