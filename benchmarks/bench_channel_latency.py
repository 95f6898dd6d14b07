"""Half of the channels gone from ResNet50 and MobileNetV2: how much of the saved MACs is saved time.

Both files of a network run in turns on this machine with one thread. Widths are multiples of 8, as XNNPACK's
kernels like them. Weights are random: they do not change how long a kernel takes.
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
from common import save

import tfzip

BAR = 0.75
SIDE = 224


def main() -> None:
    """Measures, prints both sides, and writes `results/channel_latency.json`."""
    rows = [_row(name, scheme) for name in ("ResNet50", "MobileNetV2") for scheme in ("float32", "int8")]
    reached = {f"{row['network']} {row['scheme']}": row["share_of_macs"] >= BAR for row in rows}
    print(f"at least {BAR} of the saved MACs are saved time: {reached}")
    print(f"written to {save('channel_latency', {'rows': rows, 'bar': BAR, 'reached': reached})}")


def _row(name: str, scheme: str) -> dict[str, Any]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3))
    small = tfzip.remove_channels(model, 0.5, criterion="random", multiple_of=8)
    macs = [tfzip.profile(one).macs for one in (model, small)]
    images = keras.random.uniform((8, SIDE, SIDE, 3), seed=0)
    options = {"scheme": scheme, "calibration": images.numpy()} if scheme == "int8" else {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "whole.tflite", Path(folder) / "small.tflite"]
        for one, path in zip((model, small), paths, strict=True):
            tfzip.export(one, path, **options)
        report = tfzip.benchmark(paths, threads=(1,), runs=100)
        (verdict,) = report.verdicts
        sizes = [path.stat().st_size for path in paths]
    macs_gone, time_gone = 1 - macs[1] / macs[0], 1 - verdict.ratio
    row = {
        "network": name,
        "scheme": scheme,
        "macs": macs,
        "bytes": sizes,
        "milliseconds": [one.p50_ms for one in report.latencies],
        "latency_ratio": verdict.ratio,
        "latency_ratio_interval": [verdict.low, verdict.high],
        "macs_gone": macs_gone,
        "share_of_macs": time_gone / macs_gone,
    }
    print(
        f"{name:12} {scheme:8} MACs {macs[0] / 1e6:7.0f} M -> {macs[1] / 1e6:7.0f} M ({macs_gone:.1%} gone)"
        f"  time ratio {verdict.ratio:.3f} [{verdict.low:.3f}, {verdict.high:.3f}]"
        f"  share {row['share_of_macs']:.2f}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
