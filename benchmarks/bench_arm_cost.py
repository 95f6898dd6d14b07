"""Instructions of an inference on emulated ARM cores: which compression pays on which core.

ResNet-8, MobileNet and MobileNetV2 in nine variants on Cortex-A53, A73 and A76: instructions, file, heap, and
how far the outputs are from those of this machine. Counts are exact; they are no latencies.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arm_models import NETWORKS, files
from common import save

import tfzip
from tfzip.errors import TfzipError

CORES = ("cortex-a53", "cortex-a73", "cortex-a76")


def main() -> None:
    """Counts, prints a table, and writes `results/arm_cost.json`."""
    options = _options()
    rows = []
    for network in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            for variant, path, fields in files(network, Path(folder)):
                for core in CORES:
                    rows.append(_row(network, variant, path, core, fields))
                    print(_line(rows[-1]), flush=True)
    print(f"written to {save('arm_cost', {'rows': rows})}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS, help="default all")
    return parser.parse_args()


def _row(network: str, variant: str, path: Path, core: str, fields: dict[str, Any]) -> dict[str, Any]:
    row = {"network": network, "variant": variant, "core": core, "bytes": path.stat().st_size}
    try:
        device = {"name": "qemu", "core": core, **fields}
        (counted,) = tfzip.benchmark(path, device=device, timeout_s=120.0).instructions
    except TfzipError as error:
        return row | {"error": str(error)}
    return row | {
        "instructions": asdict(counted.instructions),
        "covered": counted.covered,
        "heap_bytes": counted.heap_bytes,
        "agreement": asdict(counted.agreement),
    }


def _line(row: dict[str, Any]) -> str:
    head = f"{row['network']:12} {row['variant']:36} {row['core']:11} {row['bytes']:10,} bytes"
    if "error" in row:
        return f"{head}  {row['error']}"
    total = row["instructions"]["total"]
    return f"{head} {total / 1e6:8.2f} M instructions {row['heap_bytes'] / 1e6:6.2f} MB of heap"


if __name__ == "__main__":
    main()
