"""Latency predicted from 200 measured cells of NAS-Bench-201: how often its interval holds on all others."""

import argparse
import statistics
from typing import Any

import numpy as np
from common import save
from tables import Cells

from tfzip.errors import OptionError
from tfzip.nas.predictor import fit_predictor

DEVICES = ("pixel3", "raspi4", "samsung_a50", "samsung_s7", "pixel2", "essential_ph_1", "gold_6226")
SEEDS, SAMPLES, CONFIDENCE, BAR = range(15), 200, 0.9, (0.88, 0.92)


def main() -> None:
    """Fits, prints a line for each device, and writes `results/latency_predictor.json`."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rows = [_row(device) for device in DEVICES]
    mean = statistics.mean(row["covered"] for row in rows)
    refused = _refused()
    print(f"all devices: {mean:.1%} covered; a query out of range is {'refused' if refused else 'ANSWERED'}")
    result = {"samples": SAMPLES, "confidence": CONFIDENCE, "bar": BAR, "seeds": len(SEEDS), "rows": rows}
    reached = all(BAR[0] <= row["covered"] <= BAR[1] for row in rows)
    print(f"bar {'reached' if reached else 'missed'} on every device")
    save("latency_predictor", {**result, "covered": mean, "refused": refused, "reached": reached})


def _row(device: str) -> dict[str, Any]:
    cells = Cells(device)
    every = [dict(zip(cells.edges, map(int, ops), strict=True)) for ops in cells.ops]
    covered, halves, correlations = [], [], []
    for seed in SEEDS:
        chosen = np.random.default_rng(seed).choice(len(every), SAMPLES, replace=False)
        measured = [(every[index], float(cells.latency[index])) for index in chosen]
        predictor = fit_predictor(
            cells.space, measured, metric="latency_ms", device=device, confidence=CONFIDENCE
        )
        found = predictor.values(cells.space, every)
        others = np.setdiff1d(np.arange(len(every)), chosen)
        covered.append(float(np.mean(np.abs(found - cells.latency)[others] <= predictor.half)))
        halves.append(predictor.half)
        correlations.append(float(np.corrcoef(found[others], cells.latency[others])[0, 1]))
    row = {
        "device": device,
        "covered": statistics.mean(covered),
        "spread": statistics.stdev(covered),
        "half_ms": statistics.mean(halves),
        "median_ms": float(np.median(cells.latency)),
        "correlation": statistics.mean(correlations),
    }
    print(
        f"{device:16} covered {row['covered']:.1%} +- {row['spread']:.1%}, interval +- {row['half_ms']:.2f}"
        f" ms of a median of {row['median_ms']:.1f}, correlation {row['correlation']:.3f}",
        flush=True,
    )
    return row


def _refused() -> bool:
    """Whether a cell with an operation that no sample has is refused."""
    cells = Cells("pixel3")
    every = [dict(zip(cells.edges, map(int, ops), strict=True)) for ops in cells.ops]
    without = [index for index, one in enumerate(every) if one["edge0"] != 3][:SAMPLES]
    measured = [(every[index], float(cells.latency[index])) for index in without]
    predictor = fit_predictor(cells.space, measured, metric="latency_ms", device="pixel3")
    try:
        predictor.predict(cells.space, {**every[without[0]], "edge0": 3})
    except OptionError:
        return True
    return False


if __name__ == "__main__":
    main()
