"""Half of the channels of every kind of network gone: same outputs as with zeros, fewer MACs, a file.

Random weights, scales and statistics; channels are drawn. The smaller model and the original with zeros in
place of these channels run on the same inputs. Then the time to find the groups is measured on chains and
residual networks of growing depth. The peer is the original network: nothing else removes channels of Keras
models through all of these layers.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import channel_networks
import keras
import numpy as np
from common import save

import tfzip
from tfzip.graph.channels import Channels

SEED, FRACTION, BAR_ERROR, BAR_MACS, BAR_SECONDS = 0, 0.5, 1e-4, 0.6, 5.0
DEPTHS = (100, 300, 1000, 3000)


def main() -> None:
    """Measures, prints a row for each network, and writes `results/channel_exactness.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="networks (default all)")
    parser.add_argument("--no-files", dest="files", action="store_false", help="convert nothing")
    parser.add_argument(
        "--no-depths", dest="depths", action="store_false", help="leave out the growing networks"
    )
    options = parser.parse_args()
    chosen = {name: channel_networks.NETWORKS[name] for name in options.names} or channel_networks.NETWORKS
    rows = [_network(name, make, options.files) for name, make in chosen.items()]
    sizes = DEPTHS if options.depths else ()
    depths = [_depth(kind, depth) for kind in channel_networks.DEEP for depth in sizes]
    free = [row for row in rows if not row["barriers"]]
    bars = {
        "networks": len(rows),
        "largest_error": max(row["error"] for row in rows),
        "exact": all(row["error"] <= BAR_ERROR for row in rows),
        "least_macs_gone_without_barrier": min((row["macs_gone"] for row in free), default=None),
        "macs_reached": all(row["macs_gone"] >= BAR_MACS for row in free),
        "all_convert": all(row["converts"] for row in rows) if options.files else None,
        "slowest_groups_s": max(row["groups_s"] for row in rows),
        "fast_enough": all(row["groups_s"] <= BAR_SECONDS for row in rows),
    }
    for name, value in bars.items():
        print(f"{name:34} {value}")
    print(f"written to {save('channel_exactness', {'rows': rows, 'depths': depths, 'bars': bars})}")


def _network(name: str, make: Callable[[], keras.Model], files: bool) -> dict[str, Any]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(SEED)
    model = make()
    rng = np.random.default_rng(SEED)
    channel_networks.randomize(model, rng)
    began = time.perf_counter()
    channels = Channels(model)
    groups_s = time.perf_counter() - began
    drawn = [rng.permutation(group.units)[: int(group.size * FRACTION)] for group in channels.groups]
    removed = [int(unit) for unit in np.concatenate(drawn)]
    small = channels.without(removed)
    inputs = rng.normal(size=(2, *model.inputs[0].shape[1:])).astype(np.float32)
    found = np.asarray(small(inputs, training=False))
    before, wanted = tfzip.profile(model), _with_zeros(model, channels, removed, inputs)
    after = tfzip.profile(small)
    row = {
        "network": name,
        "groups": len(channels.groups),
        "channels": sum(group.size for group in channels.groups),
        "barriers": channels.barriers,
        "groups_s": groups_s,
        "error": float(np.abs(found - wanted).max() / np.abs(wanted).max()),
        "macs": [before.macs, after.macs],
        "macs_gone": 1 - after.macs / before.macs,
        "parameters_gone": 1 - after.parameters / before.parameters,
        "converts": _converts(small, inputs) if files else None,
    }
    print(
        f"{name:20} {row['groups']:4} groups in {groups_s:4.1f} s  error {row['error']:.0e}  MACs gone"
        f" {row['macs_gone']:.1%}  parameters gone {row['parameters_gone']:.1%}  converts {row['converts']}"
        f"  barriers {len(channels.barriers)}",
        flush=True,
    )
    return row


def _with_zeros(model: keras.Model, channels: Channels, removed: list[int], inputs: np.ndarray) -> np.ndarray:
    for variable, values in channels.zeroed(removed):
        variable.assign(values)
    return np.asarray(model(inputs, training=False))


def _converts(model: keras.Model, inputs: np.ndarray) -> bool:
    """Whether a file can be made of a model that computes the same."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = tfzip.export(model, Path(folder) / "small.tflite")
        report = tfzip.compare(model, artifact, inputs)
    return bool(report.outputs[0].cosine > 0.9999)


def _depth(kind: str, depth: int) -> dict[str, Any]:
    keras.utils.clear_session()
    sys.setrecursionlimit(20 * depth + 1000)  # Keras makes a Functional model by recursion
    model = channel_networks.DEEP[kind](depth)
    began = time.perf_counter()
    channels = Channels(model)
    seconds = time.perf_counter() - began
    print(f"{kind:20} {depth:5} layers  {len(channels.groups):5} groups  {seconds:6.2f} s", flush=True)
    return {"kind": kind, "layers": depth, "groups": len(channels.groups), "seconds": seconds}


if __name__ == "__main__":
    main()
