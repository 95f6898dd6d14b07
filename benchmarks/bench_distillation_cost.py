"""What a distillation step costs: beside its parts, with cached answers, and beside `keras.distillation`.

ResNet-20 teaches ResNet-8 (He et al. 2016) on random images of CIFAR-10's size. Steps of all kinds take
turns, each compiled once and fed with the same batch: what is compared is the step alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from common import save
from narrow_plan import residual_network

import tfzip

BATCH, BAR = 64, 1.05
TEACHER, STUDENT, BOTH = "teacher, forward", "student, step", "tfzip, step"
CACHED, KERAS = "tfzip, step with cached answers", "keras.distillation, step"


def main() -> None:
    """Times all, prints ratios with intervals over blocks, and writes `results/distillation_cost.json`."""
    options = _options()
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (BATCH, 32, 32, 3)).astype(np.float32)
    y = rng.integers(0, 10, BATCH)
    with TemporaryDirectory() as folder:
        steps = _steps(x, y, Path(folder))
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(3):
            step()
    for block in range(options.blocks):
        for name in list(steps) if block % 2 == 0 else reversed(list(steps)):
            began = time.perf_counter()
            for _ in range(options.steps):
                steps[name]()
            taken[name].append((time.perf_counter() - began) / options.steps)
    ratios = _ratios(taken)
    for name, values in taken.items():
        print(f"{name:34} {1e3 * statistics.median(values):7.2f} ms")
    for name, row in ratios.items():
        print(f"{name:62} {row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print(f"written to {save('distillation_cost', {'seconds': medians, 'ratios': ratios, 'bar': BAR})}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=40, help="turns of each kind (default 40)")
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn (default 5)")
    return parser.parse_args()


def _steps(x: np.ndarray, y: np.ndarray, folder: Path) -> dict[str, Callable[[], Any]]:
    teacher = residual_network(keras, "resnet20")
    batch = tf.constant(x)
    forward = tf.function(lambda images: teacher(images, training=False))
    cached = tfzip.cache_teacher(teacher, lambda _: [(x, y)], folder / "cache", epochs=1)
    packed, _ = next(cached.batches())
    fixed = keras.distillation.LogitsDistillation(temperature=4.0, loss=keras.losses.KLDivergence())
    losses = {"losses": "kd", "from_logits": False}
    return {
        TEACHER: lambda: forward(batch).numpy(),
        STUDENT: _step(_student(), x, y),
        BOTH: _step(tfzip.Distiller(teacher, _student(), **losses), x, y),
        CACHED: _step(tfzip.Distiller(cached, _student(), **losses), packed, y),
        KERAS: _step(keras.distillation.Distiller(teacher, _student(), fixed), x, y),
    }


def _student() -> keras.Model:
    return residual_network(keras, "resnet8")


def _step(model: keras.Model, x: Any, y: np.ndarray) -> Callable[[], Any]:
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss="sparse_categorical_crossentropy")
    batch = keras.tree.map_structure(tf.constant, (x, y))
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    model.optimizer.build(model.trainable_variables)
    model.make_train_function()
    return lambda: keras.tree.map_structure(np.asarray, model.train_function(batches))


def _ratios(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    parts = [one + other for one, other in zip(taken[TEACHER], taken[STUDENT], strict=True)]
    pairs = {
        f"{BOTH} / ({TEACHER} + {STUDENT})": (taken[BOTH], parts),
        f"{CACHED} / {STUDENT}": (taken[CACHED], taken[STUDENT]),
        f"{KERAS} / ({TEACHER} + {STUDENT})": (taken[KERAS], parts),
    }
    found = {}
    for name, (ours, theirs) in pairs.items():
        ratios = np.array(ours) / np.array(theirs)
        draws = np.random.default_rng(0).choice(ratios, (2_000, len(ratios)))
        low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
        found[name] = {"ratio": float(np.median(ratios)), "low": float(low), "high": float(high)}
    return found


if __name__ == "__main__":
    main()
