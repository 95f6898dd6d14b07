"""Channels removed and trained on: what each criterion is worth, on CIFAR-10.

ResNet-8 and ResNet-20 (He et al. 2016) are trained here on 45,000 rows. Then every row of a network has the
same budget of epochs, batches and rate: the whole network, each criterion at 2 and at 4 times fewer
multiply-accumulates, channels drawn at random, and the narrow network from random weights. The 5,000
training rows that nothing is trained on choose the two criteria for ResNet-20, from the rows of ResNet-8 at
4 times fewer; the test rows are used once, on the file of each row. A run that was ended goes on where it
was: trained networks are in `models/`, rows in the result.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import RESULTS, data_file, save
from narrow_plan import (
    CRITERIA,
    RANDOM,
    SCRATCH,
    SCRATCH_LONG,
    WHOLE,
    WHOLE_TAUGHT,
    Kind,
    NarrowPlan,
    base_plan,
    taught,
)
from parts import Parts

from tfzip.sandbox import run_isolated

MODELS = Path(__file__).parent / "models"
NAME = "channel_accuracy"
NETWORKS = ("resnet8", "resnet20")
RATIOS = (2.0, 4.0)
EPOCHS = {"resnet8": 3, "resnet20": 4}
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95 %, by the number of seeds
BAR_POINTS = 0.5


def main() -> None:
    """Trains what is not yet trained, prints all rows, and writes `results/channel_accuracy.json`."""
    options = _options()
    parts = Parts(NAME)
    _known(parts)
    with ThreadPoolExecutor(options.workers) as pool:
        for network in options.networks:
            plans = [NarrowPlan(network, _data(), seed, EPOCHS[network]) for seed in range(options.seeds)]
            base = _base(parts, network)
            rows = [
                (kind, ratio)
                for kind, ratio in _rows(parts, network)
                if ratio in (1.0, *options.ratios) and (not options.kinds or kind.name in options.kinds)
            ]
            jobs = [(kind, ratio, plan) for kind, ratio in rows for plan in plans]
            list(pool.map(lambda job, base=base: _made(parts, base, *job), jobs))
            _save(parts)
    _print(_save(parts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS, help="default all")
    parser.add_argument("--ratios", nargs="*", type=float, choices=RATIOS, default=RATIOS, help="default all")
    parser.add_argument("--kinds", nargs="*", help="names of the rows (default all)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time (default 2)")
    return parser.parse_args()


def _data() -> str:
    return str(data_file("cifar10.npz"))


def _base(parts: Parts, network: str) -> str:
    """Returns the path of the whole network, trained unless it is there."""
    plan, path = base_plan(network, _data()), MODELS / f"{network}_cifar10.keras"
    if not path.exists():
        unfinished = parts.folder / path.name
        facts = parts.made(
            network, plan, lambda: run_isolated("narrow_keras:train_whole", plan, str(unfinished))
        )
        print(f"{network}: held out {facts['held_out'][-1]:.4f}", flush=True)
        MODELS.mkdir(exist_ok=True)
        unfinished.replace(path)
    return str(path)


def _rows(parts: Parts, network: str) -> list[tuple[Kind, float]]:
    """Returns the kinds and ratios of a network; those of ResNet-20 follow from held-out rows of ResNet-8."""
    kinds: Sequence[Kind] = CRITERIA
    more = [(SCRATCH_LONG, RATIOS[-1])]
    if network != "resnet8":
        rows = _of(_collected(parts), "resnet8", RATIOS[-1])
        missing = {kind.name for kind in CRITERIA} - {row["kind"] for row in rows}
        if missing:
            print(f"{network}: criteria wait for rows of resnet8: {', '.join(sorted(missing))}", flush=True)
        kinds = () if missing else _best(rows)[:2]
        more = [(WHOLE_TAUGHT, 1.0), *((taught(kind), RATIOS[0]) for kind in kinds[:1])]
    pairs = [(kind, ratio) for ratio in reversed(RATIOS) for kind in (RANDOM, SCRATCH, *kinds)]
    return [(WHOLE, 1.0), *pairs, *more]


def _of(rows: list[dict[str, Any]], network: str, ratio: float) -> list[dict[str, Any]]:
    return [row for row in rows if (row["network"], row["ratio"]) == (network, ratio)]


def _best(rows: list[dict[str, Any]]) -> list[Kind]:
    """Returns the criteria that have rows, by their mean on held-out rows over common seeds, best first."""
    held_out = {
        kind: {row["plan"]["seed"]: row["held_out"][-1] for row in rows if row["kind"] == kind.name}
        for kind in CRITERIA
    }
    known = {kind: found for kind, found in held_out.items() if found}
    common = set.intersection(*(set(found) for found in known.values())) if known else set()
    return sorted(known, key=lambda kind: statistics.mean(known[kind][seed] for seed in common), reverse=True)


def _made(parts: Parts, base: str, kind: Kind, ratio: float, plan: NarrowPlan) -> None:
    name = _part(plan.network, kind.name, ratio, plan.seed)
    target = str(parts.folder / f"{name}.tflite")
    facts = parts.made(name, plan, lambda: run_isolated("narrow_keras:row", base, plan, kind, ratio, target))
    print(f"  {name}: held out {facts['held_out'][-1]:.4f}, test {facts['test']:.4f}", flush=True)


def _part(network: str, kind: str, ratio: float, seed: int) -> str:
    return f"{network} {kind} {ratio:g} {seed}"


def _known(parts: Parts) -> None:
    """Puts rows of the result that is there back into the working folder."""
    path = RESULTS / f"{NAME}.json"
    for row in json.loads(path.read_text())["rows"] if path.exists() else []:
        part = parts.folder / f"{_part(row['network'], row['kind'], row['ratio'], row['plan']['seed'])}.json"
        if not part.exists():
            part.write_text(json.dumps(row))


def _collected(parts: Parts) -> list[dict[str, Any]]:
    found = []
    for network in NETWORKS:
        for kind, ratio in [(kind, ratio) for ratio in (1.0, *RATIOS) for kind in _all_kinds()]:
            for seed in range(10):
                plan = NarrowPlan(network, _data(), seed, EPOCHS[network])
                row = parts.read(_part(network, kind.name, ratio, seed), plan)
                found += [row] if row else []
    return found


def _all_kinds() -> tuple[Kind, ...]:
    plain = (WHOLE, RANDOM, SCRATCH, SCRATCH_LONG, *CRITERIA)
    return (*plain, *(taught(kind) for kind in plain))


def _save(parts: Parts) -> dict[str, Any]:
    rows = _collected(parts)
    plans = {network: asdict(base_plan(network, "cifar10.npz")) for network in NETWORKS}
    result = {"trained_whole": plans, "rows": rows, "table": _table(rows), "bars": _bars(rows)}
    save(NAME, result)
    return result


def _table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = dict.fromkeys((row["network"], row["ratio"], row["kind"]) for row in rows)
    found = []
    for key in keys:
        own = [row for row in rows if (row["network"], row["ratio"], row["kind"]) == key]
        tests = [row["test"] for row in own]
        found.append(
            {
                **dict(zip(("network", "ratio", "kind"), key, strict=True)),
                "seeds": len(own),
                "macs": statistics.mean(row["macs"] for row in own),
                "bytes": statistics.mean(row["bytes"] for row in own),
                "held_out_before": statistics.mean(row["held_out_before"] for row in own),
                "held_out": statistics.mean(row["held_out"][-1] for row in own),
                "test": statistics.mean(tests),
                "test_spread": statistics.stdev(tests) if len(tests) > 1 else None,
            }
        )
    return found


def _bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns differences of test accuracy in points, by seed, with their intervals, and what they reach."""
    found = []
    for network in NETWORKS:
        best = {ratio: _best(_of(rows, network, ratio))[:1] for ratio in RATIOS}
        pairs = [
            (one.name, ratio, other.name, other_ratio, least)
            for ratio, other, other_ratio, least in (
                (2.0, WHOLE, 1.0, -BAR_POINTS),
                (2.0, WHOLE_TAUGHT, 1.0, -BAR_POINTS),
                (4.0, RANDOM, 4.0, 0.0),
                (4.0, SCRATCH, 4.0, 0.0),
            )
            for kind in best[ratio]
            for one in (kind, *map(taught, CRITERIA))  # those that have rows
        ]
        for kind, ratio, other, other_ratio, least in pairs:
            ours, theirs = (
                {
                    row["plan"]["seed"]: row["test"]
                    for row in rows
                    if (row["network"], row["kind"], row["ratio"]) == (network, *one)
                }
                for one in ((kind, ratio), (other, other_ratio))
            )
            gained = [100 * (ours[seed] - theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
            if len(gained) > 1:
                half = STUDENT_T[len(gained)] * statistics.stdev(gained) / len(gained) ** 0.5
                mean = statistics.mean(gained)
                found.append(
                    {
                        "network": network,
                        "what": f"{kind} at {ratio:g}x less {other}",
                        "points": mean,
                        "interval": [mean - half, mean + half],
                        "least": least,
                        "reached": mean >= least if least else mean - half > 0.0,
                    }
                )
    return found


def _print(result: dict[str, Any]) -> None:
    for row in sorted(result["table"], key=lambda one: (one["network"], one["ratio"], -one["held_out"])):
        print(
            f"{row['network']:9} {row['ratio']:g}x {row['kind']:26} {row['macs'] / 1e6:6.2f} M MACs"
            f"  before {row['held_out_before']:.4f}  held out {row['held_out']:.4f}  test {row['test']:.4f}"
            + (f" +- {row['test_spread']:.4f}" if row["test_spread"] is not None else "")
        )
    for bar in result["bars"]:
        low, high = bar["interval"]
        print(
            f"{bar['network']}: {bar['what']}: {bar['points']:+.2f} points [{low:+.2f}, {high:+.2f}],"
            f" bar {bar['least']:+.1f}: {'reached' if bar['reached'] else 'missed'}"
        )


if __name__ == "__main__":
    main()
