"""What `tfzip convert` adds to the bare converter on ResNet50, and what `tfzip --help` takes.

Both sides load the same `.keras` file and write a float32 .tflite, in turn, each in a process of its own.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from common import measured, save

ROUNDS = 5
HELP_ROUNDS = 11
BARE = """
import sys, keras, tensorflow as tf
model = keras.models.load_model(sys.argv[1], compile=False)
open(sys.argv[2], "wb").write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""
MAKE = "import sys, keras; keras.applications.ResNet50(weights=None).save(sys.argv[1])"


def main() -> None:
    """Runs both sides in turn and prints them with their medians."""
    tfzip = str(Path(sys.executable).with_name("tfzip"))
    sides: dict[str, list[tuple[float, float]]] = {"bare converter": [], "tfzip convert": []}
    with tempfile.TemporaryDirectory() as folder:
        model, out = f"{folder}/resnet50.keras", f"{folder}/out.tflite"
        measured([sys.executable, "-c", MAKE, model])
        for turn in range(ROUNDS):
            sides["bare converter"].append(measured([sys.executable, "-c", BARE, model, out]))
            sides["tfzip convert"].append(measured([tfzip, "convert", model, "-o", out]))
            print(f"round {turn + 1}: " + ", ".join(f"{k} {v[-1][0]:.1f} s" for k, v in sides.items()))
    seconds = {name: statistics.median(s for s, _ in runs) for name, runs in sides.items()}
    memory = {name: statistics.median(m for _, m in runs) for name, runs in sides.items()}
    for name in sides:
        print(f"{name:15} {seconds[name]:6.2f} s {memory[name] / 1e6:8.0f} MB")
    added_s = seconds["tfzip convert"] - seconds["bare converter"]
    memory_ratio = memory["tfzip convert"] / memory["bare converter"]
    help_s = statistics.median(measured([tfzip, "--help"])[0] for _ in range(HELP_ROUNDS))
    print(
        f"added {added_s:+.2f} s (bar 4 s), memory x{memory_ratio:.3f} (bar 1.10),"
        f" --help {help_s:.3f} s (bar 0.3)"
    )
    save(
        "convert_overhead",
        {
            "model": "ResNet50, float32, 224x224",
            "runs": {
                name: [{"seconds": s, "peak_bytes": m} for s, m in runs] for name, runs in sides.items()
            },
            "median_seconds": seconds,
            "median_peak_bytes": memory,
            "added_seconds": added_s,
            "memory_ratio": memory_ratio,
            "help_seconds": help_s,
        },
    )


if __name__ == "__main__":
    main()
