"""A student that has only its teacher to learn from: `keras.distillation` as it comes, and tfzip.

Ten Gaussian classes in 32 dimensions, a teacher with 256 hidden units trained on labels, students with 32
trained on the teacher alone, with the same batches, optimizer and epochs. Keras' default loss takes the
Kullback-Leibler divergence of logits, without a softmax.
"""

import statistics
from typing import Any

import keras
import numpy as np
from common import save

import tfzip

CLASSES, FEATURES, ROWS, SPREAD = 10, 32, 4_000, 3.2
EPOCHS, BATCH, SEEDS = 20, 64, 5
KERAS, KERAS_FIXED, TFZIP = "keras.distillation, default", "keras.distillation, KLDivergence()", "tfzip, kd"


def main() -> None:
    """Trains all, prints accuracies, and writes `results/distillation_toy.json`."""
    rows = [row for seed in range(SEEDS) for row in _rows(seed)]
    table = {
        side: {
            "accuracy": statistics.mean(values),
            "spread": statistics.stdev(values),
        }
        for side in dict.fromkeys(row["side"] for row in rows)
        for values in [[row["accuracy"] for row in rows if row["side"] == side]]
    }
    for side, facts in table.items():
        print(f"{side:36} {facts['accuracy']:.4f} +- {facts['spread']:.4f}")
    print(f"written to {save('distillation_toy', {'rows': rows, 'table': table})}")


def _rows(seed: int) -> list[dict[str, Any]]:
    (x, y), test = _data(seed)
    keras.utils.set_random_seed(seed)
    labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher = _network(256)
    teacher.compile("adam", labels, metrics=["accuracy"])
    teacher.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    found = [("teacher", teacher)]
    for side in (KERAS, KERAS_FIXED, TFZIP):
        keras.utils.set_random_seed(1000 + seed)
        student = _network(32)
        if side == TFZIP:
            distiller = tfzip.Distiller(
                teacher, student, {"name": "kd", "temperature": 3.0}, label_weight=0.0
            )
        else:
            loss = {} if side == KERAS else {"loss": keras.losses.KLDivergence()}
            distiller = keras.distillation.Distiller(
                teacher,
                student,
                keras.distillation.LogitsDistillation(temperature=3.0, **loss),
                student_loss_weight=0.0,
            )
        distiller.compile(optimizer="adam", loss=labels)
        distiller.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        found.append((side, distiller.student))
    return [
        {
            "side": side,
            "seed": seed,
            "accuracy": float(np.mean(model.predict(test[0], verbose=0).argmax(-1) == test[1])),
        }
        for side, model in found
    ]


def _data(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, FEATURES))
    y = rng.integers(0, CLASSES, 2 * ROWS)
    x = (centres[y] + SPREAD / 2 * rng.normal(size=(2 * ROWS, FEATURES))).astype(np.float32)
    return (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])


def _network(width: int) -> keras.Model:
    layers = keras.layers
    return keras.Sequential([keras.Input((FEATURES,)), layers.Dense(width, "relu"), layers.Dense(CLASSES)])


if __name__ == "__main__":
    main()
