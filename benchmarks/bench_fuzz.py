"""2,000 damaged files through inspect, compare and bench: a report, or one line of error; nothing else.

Three small files (float convolutions, the same in int8, an LSTM) are damaged from a seed by `mutants.py`.
Every mutant goes through the three functions in worker processes, which stand for the user's own process:
none may die, hang or see an error that is not ours. A hundred mutants also go through the real command line.

    python benchmarks/bench_fuzz.py --count 2000 --seed 0 --workers 2
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common import save
from mutants import mutants

MODEL_OF = {"float32": "convolutions", "int8": "convolutions", "lstm": "lstm"}
LONGEST_S = 150.0
SAMPLES = 2


@dataclass(frozen=True)
class Outcome:
    """How one call on one mutant ended: `"report"`, `"error"` (ours, in one line) or `"FAIL"`."""

    verb: str
    kind: str
    result: str
    duration_s: float
    message: str = ""


def originals(folder: Path) -> None:
    """Builds two models and exports three files."""
    import keras
    import numpy as np

    import tfzip

    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, strides=2)(x))
    outputs = layers.Dense(5, activation="softmax")(layers.Flatten()(layers.ReLU()(x)))
    convolutions = keras.Model(image, outputs)
    lstm = keras.Sequential([keras.Input((10, 4)), layers.LSTM(6), layers.Dense(2)])
    convolutions.save(folder / "convolutions.keras")
    lstm.save(folder / "lstm.keras")
    images = np.random.default_rng(0).random((32, 12, 12, 3), np.float32)
    tfzip.export(convolutions, folder / "float32.tflite")
    tfzip.export(convolutions, folder / "int8.tflite", scheme="int8", calibration=images)
    tfzip.export(lstm, folder / "lstm.tflite")


def damaged(folder: Path, count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields the mutants of the three files, the same in every process."""
    yield from mutants({name: (folder / f"{name}.tflite").read_bytes() for name in MODEL_OF}, count, seed)


def outcome(verb: str, kind: str, call) -> Outcome:  # noqa: ANN001 (a function without arguments)
    """Runs a call and classifies how it ends."""
    from tfzip.errors import TfzipError

    began, result, message = time.perf_counter(), "report", ""
    try:
        call()
    except TfzipError as error:
        message = str(error)
        result = "error" if "\n" not in message and "Traceback" not in message else "FAIL"
    except Exception as error:  # noqa: BLE001 (what must not happen is what is looked for)
        result, message = "FAIL", f"{type(error).__name__}: {error}"
    duration_s = time.perf_counter() - began
    return Outcome(verb, kind, result if duration_s < LONGEST_S else "FAIL", duration_s, message[:300])


def shard(folder: Path, count: int, seed: int, *, index: int, workers: int) -> list[Outcome]:
    """Takes every `workers`-th mutant through inspect, compare and bench."""
    import keras
    import numpy as np

    import tfzip
    from tfzip.runtime.reading import MEMORY_BYTES, TIMEOUT_S
    from tfzip.sandbox import Sandbox

    models = {name: keras.models.load_model(folder / f"{name}.keras") for name in set(MODEL_OF.values())}
    shapes = {name: (SAMPLES, *model.input_shape[1:]) for name, model in models.items()}
    samples = {n: np.random.default_rng(1).random(shape, np.float32) for n, shape in shapes.items()}
    quick = {"runs": 1, "launches": 1, "rounds": 1, "min_duration_s": 0, "warmup_s": 0, "timeout_s": 20}
    path, found = folder / f"mutant{index}.tflite", []
    with Sandbox(timeout_s=TIMEOUT_S, memory_bytes=MEMORY_BYTES) as child:
        for number, (name, kind, data) in enumerate(damaged(folder, count, seed)):
            if number % workers != index:
                continue
            path.write_bytes(data)
            model = MODEL_OF[name]
            calls = {
                "inspect": lambda: tfzip.inspect(path, child=child).to_json(),
                "compare": lambda model=model: str(tfzip.compare(models[model], path, samples[model])),
                "bench": lambda: tfzip.benchmark([path], **quick).to_json(),
            }
            found += [outcome(verb, kind, call) for verb, call in calls.items()]
    return found


def by_command_line(folder: Path, kind: str, data: bytes) -> Outcome:
    """Runs `tfzip inspect` on a mutant as a user would."""
    path = folder / "mutant.tflite"
    path.write_bytes(data)
    command = [sys.executable, "-c", "from tfzip.cli import main; main()", "inspect", str(path)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    lines = done.stderr.splitlines()
    clean = len(lines) == done.returncode and done.returncode in (0, 1) and "Traceback" not in done.stderr
    result = ("report", "error")[done.returncode] if clean else "FAIL"
    return Outcome("command line", kind, result, time.perf_counter() - began, done.stderr[-300:])


def summary(found: list[Outcome]) -> dict:
    """Returns counts and times by function, and every failure."""
    rows = {}
    for verb in dict.fromkeys(o.verb for o in found):
        own = [o for o in found if o.verb == verb]
        rows[verb] = {
            "calls": len(own),
            **{result: sum(o.result == result for o in own) for result in ("report", "error", "FAIL")},
            "by_kind": {
                kind: dict(Counter(o.result for o in own if o.kind == kind))
                for kind in sorted({o.kind for o in own})
            },
            "max_s": round(max(o.duration_s for o in own), 2),
            "mean_s": round(sum(o.duration_s for o in own) / len(own), 3),
        }
    return {"functions": rows, "failures": [vars(o) for o in found if o.result == "FAIL"]}


def main() -> None:
    """Runs the fuzz and writes `results/fuzz.json`; exit status 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.workers, mp_context=spawn) as pool:
            pool.submit(originals, folder).result()
            arguments = (folder, options.count, options.seed)
            shards = [
                pool.submit(shard, *arguments, index=i, workers=options.workers)
                for i in range(options.workers)
            ]
            found = [o for finished in shards for o in finished.result()]
        chosen = list(damaged(folder, options.count, options.seed))[:: max(1, options.count // 100)]
        found += [by_command_line(folder, kind, data) for _, kind, data in chosen]
    result = summary(found)
    for verb, row in result["functions"].items():
        print(
            f"{verb:<13}", *(f"{key} {row[key]:<6}" for key in ("calls", "report", "error", "FAIL", "max_s"))
        )
    print("Wrote", save("fuzz", {"seed": options.seed, "count": options.count, **result}))
    sys.exit(bool(result["failures"]))


if __name__ == "__main__":
    main()
