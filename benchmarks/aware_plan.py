"""The training that all sides of `bench_quantization_aware` run: same rows, order, augmentation and rate."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

AS_PUBLISHED = "int8, as published"  # the side of a benchmark that trains nothing
TRAIN_ROWS = 45_000  # the training images after them choose settings, the test images choose nothing
MOVE = 4
WARM_UP_STEPS = 24  # tracing, and the first batches on which ranges are chosen

Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class AwarePlan:
    """A fit on augmented CIFAR-10, the rate falling to 0 along half a cosine.

    Attributes:
        network: `"resnet8"`, which takes pixels of 0 to 255, or `"mobilenetv2"`, which takes them of -1 to 1
            on images of twice the side: it divides these by 32.
        data: Path of the images.
        seed: Of the order of rows, the augmentation and what a framework draws.
        epochs: How often each row is seen.
        images: Training rows, at most `TRAIN_ROWS`.
        learning_rate: Adam's rate at the start.
        batch_size: Rows per step; what does not fill a batch is left out.
    """

    network: str
    data: str
    seed: int = 0
    epochs: int = 5
    images: int = TRAIN_ROWS
    learning_rate: float = 0.0003
    batch_size: int = 64

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.images // self.batch_size

    def batches(self) -> Iterator[Rows]:
        """Yields the batches of all epochs."""
        for epoch in range(self.epochs):
            yield from self.epoch(epoch)

    def epoch(self, number: int) -> Iterator[Rows]:
        """Yields the batches of an epoch, which depend on the seed and its number alone."""
        x, y = self._stored("train", slice(0, self.images))
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(y))[: self.steps * self.batch_size]
        for chosen in np.split(order, self.steps):
            yield self._scaled(augmented(x[chosen], rng)), y[chosen]

    def compile(self, keras: Any, model: Any) -> None:
        """Compiles a model of either Keras, given as the module."""
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, self.steps * self.epochs)
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])

    def fit(
        self, keras: Any, model: Any, callbacks: Sequence[Any] = (), batches: Any = None
    ) -> dict[str, list[float]]:
        """Trains a model of either Keras and returns its history, held-out rows included.

        Args:
            keras: The module.
            model: What is trained.
            callbacks: Of Keras.
            batches: The same batches with more to them. Defaults to them alone.
        """
        self.compile(keras, model)
        fitted = model.fit(
            self.batches() if batches is None else batches,
            steps_per_epoch=self.steps,
            epochs=self.epochs,
            validation_data=self.held_out(),
            validation_batch_size=200,
            callbacks=list(callbacks),
            verbose=0,
        )
        return {name: [float(value) for value in values] for name, values in fitted.history.items()}

    def train_rows(self) -> Rows:
        """Returns the training rows as they are, for timing."""
        x, y = self._stored("train", slice(0, self.images))
        return self._scaled(x), y

    def held_out(self) -> Rows:
        """Returns the training rows that nothing is trained on."""
        x, y = self._stored("train", slice(TRAIN_ROWS, None))
        return self._scaled(x), y

    def test_rows(self) -> Rows:
        """Returns the test rows."""
        x, y = self._stored("test", slice(None))
        return self._scaled(x), y

    def _stored(self, split: str, rows: slice) -> Rows:
        with np.load(self.data) as stored:
            return stored[f"x_{split}"][rows], stored[f"y_{split}"][rows].reshape(-1).astype(np.int32)

    def _scaled(self, images: np.ndarray) -> np.ndarray:
        if self.network == "resnet8":
            return images.astype(np.float32)
        larger = images.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)
        return larger / np.float32(127.5) - np.float32(1)


def mobilenetv2(keras: Any) -> Any:
    """Returns a MobileNetV2 of either Keras, given as the module, with random weights.

    Its batch statistics follow within 10 batches; the 1,000 of the stock network are for longer training.
    """
    model = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=10)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model


def augmented(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns images of bytes, half of them mirrored, moved by up to `MOVE` pixels, black outside."""
    count, height, width, _ = images.shape
    mirrored = rng.random((count, 1, 1, 1)) < 0.5
    images = np.where(mirrored, images[:, :, ::-1], images)
    padded = np.pad(images, ((0, 0), (MOVE, MOVE), (MOVE, MOVE), (0, 0)))
    top, left = rng.integers(0, 2 * MOVE + 1, (2, count, 1))
    rows, columns = top + np.arange(height), left + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


class StepTimes:
    """Collects what each step takes; mixed into the `Callback` of either Keras."""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Starts a new list."""
        self._ends: list[tuple[float, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Reads both clocks."""
        self._ends.append((time.perf_counter(), time.process_time()))

    def taken(self) -> dict[str, float]:
        """Returns seconds per step after the warm-up: the median, and the mean."""
        wall, work = np.diff(np.array(self._ends)[WARM_UP_STEPS:], axis=0).T
        return {
            "step_s": statistics.median(wall),
            "step_cpu_s": statistics.median(work),
            "mean_step_s": float(wall.mean()),
            "mean_step_cpu_s": float(work.mean()),
        }
