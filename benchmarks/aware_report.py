"""What `bench_quantization_aware` found, beside its bars."""

import statistics
from typing import Any

PLAIN = {"tfzip, grids moving": "keras", "tfzip, grids frozen": "keras", "tfmot": "tf_keras"}


def bars(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns every bar for which there are figures: what, the figure, the bar, and whether it is reached."""
    found = []

    def bar(what: str, value: float, least: float | None = None, most: float | None = None) -> None:
        reached = (least is None or value >= least) and (most is None or value <= most)
        found.append({"what": what, "value": value, "least": least, "most": most, "reached": reached})

    means = {network: _means(rows) for network, rows in result["trained"].items()}
    resnet8 = means.get("resnet8", {})
    if {"float32", "int8"} <= resnet8.keys():
        least = resnet8["float32"]["file_accuracy"] - 0.002
        bar("resnet8: accuracy of the int8 file", resnet8["int8"]["file_accuracy"], least)
    for kind in resnet8.keys() & {"w4a8", "mixed"}:
        bar(f"resnet8: accuracy of the {kind} file", resnet8[kind]["file_accuracy"], 0.872)
        bar(f"resnet8: bytes of the {kind} file", resnet8[kind]["bytes"], most=60_000)
    for network, kinds in means.items():
        if {"int8", "tfmot"} <= kinds.keys():
            what = f"{network}: accuracy of the int8 file beside TFMOT's"
            bar(what, kinds["int8"]["file_accuracy"], kinds["tfmot"]["file_accuracy"])
        for kind in ("int8", "w4a8", "mixed"):
            if kind in kinds:
                bar(f"{network}: agreement of simulation and {kind} file", kinds[kind]["agreement"], 0.999)
    for kind, ratio in step_ratios(result["step_time"]).items():
        if kind != "tfmot":
            bar(f"step time over plain fit: {kind}", ratio["step_s"], most=1.6)
    return found


def step_ratios(times: dict[str, Any] | None) -> dict[str, dict[str, float]]:
    """Returns each aware kind's time per step over that of its own plain fit, by clock."""
    if not times:
        return {}
    median = times["median"]
    return {
        kind: {clock: median[kind][clock] / median[plain][clock] for clock in median[kind]}
        for kind, plain in PLAIN.items()
    }


def printed(result: dict[str, Any]) -> None:
    """Prints a row for each training, the ratios of step times, and the bars."""
    for network, rows in result["trained"].items():
        for row in rows:
            print(
                f"{network:12} {row['kind']:8} seed {row['plan']['seed']}  {row['bytes']:9,} bytes"
                f"  file {row['file_accuracy']:.4f}  model {row['model_accuracy']:.4f}"
                f"  held out {row['history']['val_accuracy'][-1]:.4f}"
                f"  agreement {row['agreement']:.4f}  max LSB {row.get('max_lsb', '-')}"
            )
    for kind, ratio in step_ratios(result["step_time"]).items():
        clocks = ", ".join(f"{clock} {value:.2f}" for clock, value in ratio.items())
        print(f"over plain fit: {kind:20} {clocks}")
    for bar in result["bars"]:
        limit = f">= {bar['least']:.4f}" if bar["least"] is not None else f"<= {bar['most']:,}"
        print(f"{bar['what']}: {bar['value']:,.4f} {limit}: {'reached' if bar['reached'] else 'missed'}")


def _means(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    kinds = dict.fromkeys(row["kind"] for row in rows)
    return {
        kind: {
            fact: statistics.mean(row[fact] for row in rows if row["kind"] == kind)
            for fact in ("file_accuracy", "bytes", "agreement")
        }
        for kind in kinds
    }
