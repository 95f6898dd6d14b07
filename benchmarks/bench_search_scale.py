"""Four workers with one search beside one worker, and what a trial costs beside what it measures.

On NAS-Bench-Macro, 15 seeds of 100 trials each, in processes that share a journal and sleep for 20 ms in each
trial. The overhead is the time of a search whose objective reads a table, by trials, up to 1,000.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import save
from tables import Macro

import tfzip

SEEDS = range(100, 115)
TRIALS, SLEEP_S = 100, 0.02
SIZES = (250, 500, 1000)
BARS = {"difference": 0.1, "ms": 5.0, "growth": 1.0}


def main() -> None:
    """Runs everything, prints it, and writes `results/search_scale.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work(**json.loads(options.worker))
        return
    quality = {workers: [_together(workers, seed) for seed in SEEDS] for workers in (1, 4)}
    means = {workers: statistics.mean(found) for workers, found in quality.items()}
    for workers, found in quality.items():
        print(
            f"{workers} worker(s): accuracy {means[workers]:.3f} +- {statistics.stdev(found):.3f}", flush=True
        )
    costs = {name: _overhead(name) for name in ("evolution", "reinforce", "random")}
    bars = _bars(means, costs)
    for name, reached in bars.items():
        print(f"{name}: {'reached' if reached else 'missed'}")
    rows = {"quality": quality, "overhead_ms": costs, "bars": BARS, "reached": bars}
    print(f"written to {save('search_scale', rows)}")


def _together(workers: int, seed: int) -> float:
    """Returns the best accuracy of workers that share the trials."""
    with tempfile.TemporaryDirectory() as folder:
        fields = json.dumps({"storage": str(Path(folder) / "journal"), "seed": seed})
        command = [sys.executable, __file__, "--worker", fields]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
        answers = [one.communicate()[0] for one in started]
    return float(answers[0].splitlines()[-1])


def _work(storage: str, seed: int) -> None:
    macro = Macro()

    def objective(choices: Any) -> dict[str, float]:
        time.sleep(SLEEP_S)
        return macro(choices)

    found = tfzip.search(macro.space, objective, trials=TRIALS, seed=seed, storage=storage)
    print(found.best.metrics["accuracy"])


def _overhead(name: str) -> dict[str, Any]:
    """Returns milliseconds per trial of searches of several lengths, median of three."""
    macro = Macro()
    found = {}
    for trials in SIZES:
        times = []
        for seed in range(3):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                tfzip.search(
                    macro.space, macro, strategy=name, trials=trials, seed=seed, storage=Path(folder) / "j"
                )
                times.append(1e3 * (time.perf_counter() - began) / trials)
        found[trials] = statistics.median(times)
        print(f"{name}, {trials} trials in a journal: {found[trials]:.2f} ms per trial", flush=True)
    return found


def _bars(means: dict[int, float], costs: dict[str, Any]) -> dict[str, bool]:
    longest, shortest = SIZES[-1], SIZES[0]
    growth = max(one[longest] / one[shortest] / (longest / shortest) for one in costs.values())
    apart = abs(means[4] - means[1])
    slowest = max(one[longest] for one in costs.values())
    return {
        f"4 workers within {BARS['difference']} of 1: {apart:.3f}": apart <= BARS["difference"],
        f"at most {BARS['ms']} ms per trial at {longest}: {slowest:.2f}": slowest <= BARS["ms"],
        f"a trial's cost grows no faster than the history: x {growth:.2f}": growth <= BARS["growth"],
    }


if __name__ == "__main__":
    main()
