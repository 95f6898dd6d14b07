"""Two models that are no image classifiers, to int8 without and with training: spoken digits, engine life.

Each is trained in float and then trained on for a few epochs twice, in float and with QuantizationCallback,
from the same weights and seed. Every figure of a file is that of the file on LiteRT, on a test set that
chose nothing.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from common import save
from engine_life import MOST_CYCLES, engine_life
from engine_life import network as engine_network
from numpy.typing import NDArray
from spoken_digits import network as speech_network
from spoken_digits import spoken_digits

import tfzip
from tfzip.runtime.numbers import dequantize, quantize

SEED, CALIBRATION, TUNING_EPOCHS, TUNING_RATE = 0, 256, 4, 3e-4
Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """A model with its data and how it is measured."""

    name: str
    network: Callable[[], keras.Model]
    splits: Mapping[str, tuple[Array, Array]]
    loss: Any
    epochs: int
    batch: int
    rate: float
    metric: str
    score: Callable[[Array, Array], float]


@dataclass(frozen=True)
class Row:
    """One line of the table; differences between file and simulation in steps of the output."""

    model: str
    form: str
    metric: str
    value: float
    size_bytes: int
    agreement: float | None = None
    max_lsb: float | None = None
    mean_lsb: float | None = None


def tasks() -> list[Task]:
    """Returns what is measured."""
    engine = engine_life()
    sensors = engine["train"][0].shape[-1]
    scaled = {name: (x, y if name == "test" else y / MOST_CYCLES) for name, (x, y) in engine.items()}
    digit_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    speech = Task(
        "spoken digits", speech_network, spoken_digits(), digit_loss, 20, 32, 3e-3, "accuracy", accuracy
    )
    engines = [
        Task(
            f"engine life, {kind}",
            lambda kind=kind: engine_network(kind, sensors),
            scaled,
            "mse",
            5,
            128,
            2e-3,
            "RMSE in cycles",
            rmse,
        )
        for kind in ("LSTM", "GRU")
    ]
    return [speech, *engines]


def accuracy(outputs: Array, digits: Array) -> float:
    """Returns the share of right answers."""
    return float((outputs.argmax(-1) == digits).mean())


def rmse(outputs: Array, cycles: Array) -> float:
    """Returns the root of the mean squared error."""
    return float(np.sqrt(np.mean((outputs[:, 0] * MOST_CYCLES - cycles) ** 2)))


def fit(task: Task, model: keras.Model, epochs: int, rate: float, *callbacks: Any, seed: int = SEED) -> float:
    """Trains with a rate that falls to nothing; returns the seconds it took."""
    keras.utils.set_random_seed(seed)
    x, y = task.splits["train"]
    steps = epochs * (len(x) // task.batch)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)), task.loss)
    began = time.perf_counter()
    model.fit(x, y, batch_size=task.batch, epochs=epochs, callbacks=list(callbacks), verbose=0)
    return time.perf_counter() - began


def file_outputs(path: Path, inputs: Array) -> tuple[Array, float]:
    """Returns what a file computes, and the step of its output."""
    session = tfzip.open_session(path)
    source, target = session.inputs[0], session.outputs[0]
    held = [session.run({source.name: quantize(one[None], source)})[target.name] for one in inputs]
    return dequantize(np.concatenate(held), target), target.scale


def file_row(task: Task, form: str, artifact: tfzip.Artifact, simulated: keras.Model | None = None) -> Row:
    """Measures a file, and how far its simulation is from it."""
    x, y = task.splits["test"]
    held, step = file_outputs(artifact.path, x)
    value = task.score(held, y)
    if simulated is None:
        return Row(task.name, form, task.metric, value, artifact.size_bytes)
    ours = simulated.predict(x, verbose=0)
    apart = np.abs(ours - held) / step
    same = ours.argmax(-1) == held.argmax(-1) if held.shape[-1] > 1 else apart[:, 0] < 1.5  # one step
    distances = float(same.mean()), round(float(apart.max()), 3), round(float(apart.mean()), 3)
    return Row(task.name, form, task.metric, value, artifact.size_bytes, *distances)


def rows_of(task: Task, folder: Path) -> tuple[list[Row], dict[str, float]]:
    """Trains one model in every way and measures each; returns also the seconds of each fit."""
    keras.utils.set_random_seed(SEED)
    model = task.network()
    seconds = {"float": fit(task, model, task.epochs, task.rate)}
    rows = [file_row(task, "float", tfzip.export(model, folder / "float.tflite"))]
    x = task.splits["train"][0]
    drawn = np.random.default_rng(SEED).choice(len(x), CALIBRATION, replace=False)
    simulated = tfzip.quantize(model, "int8", calibration=x[drawn])
    after = tfzip.export(model, folder / "after.tflite", scheme="int8", calibration=x[drawn])
    rows.append(file_row(task, "int8, post-training", after, simulated))
    tuned = {}
    for name, callbacks in (("float", ()), ("int8", (tfzip.QuantizationCallback(freeze_statistics=0),))):
        tuned[name] = keras.models.clone_model(model)
        tuned[name].set_weights(model.get_weights())
        seconds[f"{name}, trained on"] = fit(task, tuned[name], TUNING_EPOCHS, TUNING_RATE, *callbacks)
    rows.append(file_row(task, "float, trained on", tfzip.export(tuned["float"], folder / "tuned.tflite")))
    aware = tfzip.export(tuned["int8"], folder / "aware.tflite")
    rows.append(file_row(task, "int8, aware", aware, tfzip.quantize(tuned["int8"])))
    return rows, seconds


def main() -> None:
    """Measures all models and prints the table."""
    rows, seconds = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks():
            found, seconds[task.name] = rows_of(task, Path(folder))
            rows += found
            for row in found:
                line = (
                    f"{row.model:18} {row.form:20} {row.value:8.4f} {row.metric:15} {row.size_bytes:7,} bytes"
                )
                if row.agreement is not None:
                    line += f"  agreement {row.agreement:.4f}, max {row.max_lsb} LSB, mean {row.mean_lsb} LSB"
                print(line, flush=True)
    result = {"calibration_samples": CALIBRATION, "tuning_epochs": TUNING_EPOCHS, "seconds": seconds}
    save("audio_sensor", {**result, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
