"""Narrow students of a network for spoken digits and of one for engine life, with their teacher and without.

The student has a quarter of the teacher's channels or units and random weights; both trainings of it have
the same seed, batches, rate and epochs. Every figure is that of the int8 file on the test set, which chose
nothing; the losses and their weights are defaults.
"""

import argparse
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
from bench_audio_sensor import CALIBRATION, Task, file_outputs, fit, tasks
from common import save

import tfzip

TASKS = {"spoken digits": "kd", "engine life, LSTM": "mse"}  # with the loss that suits the outputs
WIDTH = 0.25
ALONE, TAUGHT, TEACHER = "student by labels", "student with teacher", "teacher"


@dataclass(frozen=True)
class Row:
    """A trained network: its file and how good that is."""

    task: str
    seed: int
    who: str
    metric: str
    value: float
    size_bytes: int
    macs: int


def main() -> None:
    """Trains all, prints the table, and writes `results/distillation_students.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    seeds = range(parser.parse_args().seeds)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for task in (one for one in tasks() if one.name in TASKS):
            for seed in seeds:
                rows += _trained(task, seed, Path(folder))
            for who in (TEACHER, ALONE, TAUGHT):
                print(_line([row for row in rows if (row.task, row.who) == (task.name, who)]), flush=True)
    save("distillation_students", {"width": WIDTH, "losses": TASKS, "rows": [asdict(row) for row in rows]})


def _trained(task: Task, seed: int, folder: Path) -> list[Row]:
    keras.utils.set_random_seed(seed)
    teacher = task.network()
    fit(task, teacher, task.epochs, task.rate, seed=seed)
    models = {TEACHER: teacher}
    for who in (ALONE, TAUGHT):
        keras.utils.set_random_seed(seed)
        student = tfzip.shrink(teacher, width=WIDTH, inherit=False, seed=seed)
        fitted = student if who == ALONE else tfzip.Distiller(teacher, student, TASKS[task.name])
        fit(task, fitted, task.epochs, task.rate, seed=seed)
        models[who] = student
    return [_row(task, seed, who, model, folder / f"{who}.tflite") for who, model in models.items()]


def _row(task: Task, seed: int, who: str, model: keras.Model, path: Path) -> Row:
    calibration = task.splits["val"][0][:CALIBRATION]
    artifact = tfzip.export(model, path, scheme="int8", calibration=calibration)
    x, y = task.splits["test"]
    value = task.score(file_outputs(artifact.path, x)[0], y)
    return Row(task.name, seed, who, task.metric, value, artifact.size_bytes, tfzip.profile(model).macs)


def _line(rows: list[Row]) -> str:
    values = [row.value for row in rows]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return (
        f"{rows[0].task:18} {rows[0].who:22} {statistics.mean(values):8.4f} +- {spread:.4f}"
        f" {rows[0].metric:15} {rows[0].size_bytes:7,} bytes {rows[0].macs / 1e3:7,.0f} thousand MACs"
    )


if __name__ == "__main__":
    main()
