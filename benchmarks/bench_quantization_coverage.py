"""Which layers, graphs and stock architectures can be trained quantization-aware and exported?

Sixty-nine small models and twelve stock architectures train one step under `QuantizationCallback` and are
exported as full-integer files without calibration data; what stays in float is named. TFMOT quantizes, trains
and converts the same models built with tf_keras. Any exception, on either side, counts as not covered. Each
side runs in processes of its own, so that a crash costs one case.
"""

import sys
from pathlib import Path
from typing import Any

from bench_architectures import NAMES
from common import answers, save

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT.parent))

from tests.quantization.cases import CASES  # noqa: E402 (the tests are no installed package)


def measured(names: list[str]) -> list[dict[str, Any]]:
    """Returns what both sides make of each case."""
    rows = {name: {"case": name} for name in names}
    for side in ("tfzip", "tfmot"):
        for found in answers(ROOT / f"coverage_{side}.py", names):
            rows[found.pop("case")][side] = found
    return list(rows.values())


def line_of(row: dict[str, Any]) -> str:
    """Returns one line for a reader."""
    ours, peer = row["tfzip"], row["tfmot"]
    if ours["result"] == "ok":
        islands = f"  float: {', '.join(ours['islands'])}" if ours["islands"] else ""
        text = f"{ours['integer_ops']:5} integer {ours['float_ops']:3} float{islands}"
    else:
        text = ours["result"]
    return f"{row['case']:22} {text}   | TFMOT: {peer['result'][:70]}"


def main() -> None:
    """Measures every case named on the command line, by default all of them."""
    names = sys.argv[1:] or [*CASES, *NAMES]
    rows = measured(names)
    for row in rows:
        print(line_of(row))
    totals = {}
    for kind, chosen in (("cases", set(CASES)), ("architectures", set(NAMES))):
        of_kind = [row for row in rows if row["case"] in chosen]
        totals[kind] = {"all": len(of_kind)} | {
            side: sum(row[side]["result"] == "ok" for row in of_kind) for side in ("tfzip", "tfmot")
        }
        totals[kind]["without_float"] = sum(row["tfzip"].get("float_ops") == 0 for row in of_kind)
        print(kind, totals[kind])
    if not sys.argv[1:]:
        save("quantization_coverage", {"totals": totals, "rows": rows})


if __name__ == "__main__":
    main()
