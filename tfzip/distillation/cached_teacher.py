"""What a teacher makes of the training samples, kept on disk, so that it runs over them once."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzip.distillation.answers import Answers, claim, digest_of, mark_of, part, read, write
from tfzip.distillation.ends import End, ends_of
from tfzip.errors import DataError, OptionError
from tfzip.explained import explained
from tfzip.given import is_whole
from tfzip.graph.flatten import flatten

INPUTS, ANSWERS = "inputs", "answers"
Batches = Callable[[int], Iterable[tuple[Any, ...]]]


class CachedTeacher:
    """Stands for a teacher in a `Distiller`, with the answers that it gave.

    Made by `cache_teacher`; a student is fitted on `batches()`. Losses of features need the teacher itself.
    Samples without answers, such as validation data, are judged by their labels alone.

    Attributes:
        folder: Where the answers are.
        ends: The teacher's outputs.
        epochs: For how many epochs there are answers.
        steps: Batches of an epoch.
    """

    def __init__(
        self, folder: Path, ends: Sequence[End], source: Batches, epochs: int, *, teacher: str
    ) -> None:
        self.folder, self.ends, self.epochs = folder, list(ends), epochs
        self._source, self._teacher = source, teacher
        self.steps = len(read(part(folder, 0), teacher).marks)

    def batches(self, first_epoch: int = 0) -> Iterator[tuple[Any, ...]]:
        """Yields the batches of all epochs, each with the answers to it.

        Args:
            first_epoch: From which to go on. Defaults to 0.

        Raises:
            DataError: The source gives other batches than those the teacher saw, or a file is damaged.
        """
        for epoch in range(first_epoch, self.epochs):
            answers = read(part(self.folder, epoch), self._teacher)
            place = step = 0
            for batch in self._source(epoch):
                _check_batch(batch, answers, step, epoch, self.folder)
                x, *rest = batch
                end = place + _rows(x)
                yield {INPUTS: x, ANSWERS: tuple(output[place:end] for output in answers.outputs)}, *rest
                place, step = end, step + 1
            _check_count(answers, step, epoch, self.folder)


def cache_teacher(
    teacher: keras.Model,
    batches: Batches,
    folder: str | os.PathLike[str],
    *,
    epochs: int,
    check_all: bool = True,
) -> CachedTeacher:
    """Runs a teacher over all batches that a student will see and keeps what it answers.

    Epochs whose answers are there already are not run again, so an interrupted call goes on where it was.

    Args:
        teacher: A built model; it runs in inference mode.
        batches: From the number of an epoch to its batches `(x, y)` or `(x, y, sample_weight)`, the same ones
            each time: order and augmentation depend on the number alone, for example by
            `numpy.random.default_rng([seed, epoch])`.
        folder: Where answers are kept, a file for each epoch, 4 bytes for each number.
        epochs: How many.
        check_all: Whether all batches of epochs that are there are compared with those that the teacher saw,
            which takes what it takes to make them; otherwise the first of each. Defaults to True.

    Raises:
        OptionError: The folder holds answers of another teacher, or epochs is not a whole number above 0.
        DataError: An epoch has no batches or other ones than the teacher saw, or a file is damaged.
    """
    if not is_whole(epochs, 1):
        raise OptionError(f"epochs is a whole number of at least 1. Received: {epochs!r}.")
    if not callable(batches):
        raise OptionError(
            "batches is a function from the number of an epoch to its batches. Received:"
            f" {type(batches).__name__}."
        )
    folder = Path(folder)
    graph = flatten(teacher)
    ends, digest = ends_of(teacher, graph), digest_of(teacher, graph)
    claim(folder, digest, ends)
    for epoch in range(epochs):
        path = part(folder, epoch)
        if path.exists():
            _check(read(path, digest), batches(epoch), epoch, folder, check_all=check_all)
        else:
            write(path, _asked(teacher, digest, batches(epoch)))
    return CachedTeacher(folder, ends, batches, int(epochs), teacher=digest)


def split(x: Any) -> tuple[Any, Any]:
    """Returns inputs and answers of what `CachedTeacher.batches` yields; None for answers of other inputs."""
    if isinstance(x, dict) and set(x) == {INPUTS, ANSWERS}:
        return x[INPUTS], list(x[ANSWERS])
    return x, None


def _asked(teacher: keras.Model, digest: str, batches: Iterable[tuple[Any, ...]]) -> Answers:
    answers, marks = [], []
    with explained("Asking the teacher", "Check that the batches are tuples (x, y) with its inputs."):
        for batch in batches:
            if not isinstance(batch, tuple):
                raise DataError(f"A batch is a tuple (x, y). Received: {type(batch).__name__}.")
            outputs = keras.tree.flatten(teacher(batch[0], training=False))
            answers.append([np.asarray(one, np.float32) for one in outputs])
            marks.append(mark_of(batch))
    if not answers:
        raise DataError("An epoch has no batches, so there is nothing to ask the teacher.")
    return Answers([np.concatenate(column) for column in zip(*answers, strict=True)], marks, digest)


def _check(
    answers: Answers, batches: Iterable[tuple[Any, ...]], epoch: int, folder: Path, *, check_all: bool
) -> None:
    """Compares batches with those that the teacher saw."""
    count = 0
    for step, batch in enumerate(batches):
        _check_batch(batch, answers, step, epoch, folder)
        count = step + 1
        if not check_all:
            return
    _check_count(answers, count, epoch, folder)


def _check_batch(batch: Any, answers: Answers, step: int, epoch: int, folder: Path) -> None:
    if step >= len(answers.marks) or mark_of(batch) != answers.marks[step]:
        raise DataError(
            f"Batch {step} of epoch {epoch} is another than the teacher saw. Its source has to give the same"
            f" batches for the same epoch each time; or delete {folder} to ask again."
        )


def _check_count(answers: Answers, count: int, epoch: int, folder: Path) -> None:
    if count != len(answers.marks):
        raise DataError(
            f"Epoch {epoch} has {count} batches, and the teacher saw {len(answers.marks)}. Its source has to"
            f" give the same batches for the same epoch each time; or delete {folder} to ask again."
        )


def _rows(x: Any) -> int:
    return len(keras.tree.flatten(x)[0])
