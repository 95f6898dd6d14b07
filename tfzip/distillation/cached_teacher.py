"""What a teacher makes of the training samples, kept on disk, so that it runs over them once."""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.distillation.ends import End, ends_of
from tfzip.errors import DataError, OptionError
from tfzip.files import written_beside
from tfzip.graph.flatten import flatten

INPUTS, ANSWERS = "inputs", "answers"
Batches = Callable[[int], Iterable[tuple[Any, ...]]]
_META = "teacher.json"
_VERSION = 1


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

    def __init__(self, folder: Path, ends: Sequence[End], source: Batches, epochs: int) -> None:
        self.folder, self.ends, self.epochs = folder, list(ends), epochs
        self._source = source
        self.steps = len(_read(_part(folder, 0))[1])

    def batches(self, first_epoch: int = 0) -> Iterator[tuple[Any, ...]]:
        """Yields the batches of all epochs, each with the answers to it.

        Args:
            first_epoch: From which to go on. Defaults to 0.

        Raises:
            DataError: The source gives other batches than those the teacher saw, or a file is damaged.
        """
        for epoch in range(first_epoch, self.epochs):
            outputs, marks = _read(_part(self.folder, epoch))
            place = step = 0
            for batch in self._source(epoch):
                x, *rest = batch
                if step >= len(marks) or _mark(x) != marks[step]:
                    raise DataError(
                        f"Batch {step} of epoch {epoch} is another than the teacher saw. Its source has to"
                        " give the same batches for the same epoch each time; or delete"
                        f" {self.folder} to ask again."
                    )
                end = place + _rows(x)
                yield {INPUTS: x, ANSWERS: tuple(output[place:end] for output in outputs)}, *rest
                place, step = end, step + 1


def cache_teacher(
    teacher: keras.Model, batches: Batches, folder: str | os.PathLike[str], *, epochs: int
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

    Raises:
        OptionError: The folder holds answers of another teacher, or epochs is not a whole number above 0.
        DataError: An epoch has no batches, or a file is damaged.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise OptionError(f"epochs is a whole number of at least 1. Received: {epochs!r}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ends = ends_of(teacher, flatten(teacher))
    _claim(folder, teacher, ends)
    for epoch in range(epochs):
        path = _part(folder, epoch)
        if path.exists():
            _check_first(path, batches(epoch), epoch)
        else:
            _write(path, *_asked(teacher, batches(epoch)))
    return CachedTeacher(folder, ends, batches, epochs)


def split(x: Any) -> tuple[Any, Any]:
    """Returns inputs and answers of what `CachedTeacher.batches` yields; None for answers of other inputs."""
    if isinstance(x, dict) and set(x) == {INPUTS, ANSWERS}:
        return x[INPUTS], list(x[ANSWERS])
    return x, None


def _asked(teacher: keras.Model, batches: Iterable[tuple[Any, ...]]) -> tuple[list[NDArray[Any]], list[int]]:
    answers, marks = [], []
    for batch in batches:
        answers.append(
            [np.asarray(one, np.float32) for one in keras.tree.flatten(teacher(batch[0], training=False))]
        )
        marks.append(_mark(batch[0]))
    if not answers:
        raise DataError("An epoch has no batches, so there is nothing to ask the teacher.")
    return [np.concatenate(column) for column in zip(*answers, strict=True)], marks


def _claim(folder: Path, teacher: keras.Model, ends: Sequence[End]) -> None:
    """Notes whose answers a folder holds, or checks that they are this teacher's."""
    wanted = {"version": _VERSION, "weights": _digest(teacher), "ends": [asdict(end) for end in ends]}
    path = folder / _META
    if not path.exists():
        with written_beside(path) as partial:
            partial.write_text(json.dumps(wanted, indent=2))
        return
    found = json.loads(path.read_text())
    if found.get("weights") != wanted["weights"] or found.get("version") != _VERSION:
        raise OptionError(
            f"{folder} holds the answers of another teacher. Name another folder, or delete it to ask"
            " this one."
        )


def _digest(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _part(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:04}.npz"


def _write(path: Path, outputs: Sequence[NDArray[Any]], marks: Sequence[int]) -> None:
    arrays = {f"output_{index}": output for index, output in enumerate(outputs)}
    check = np.array([zlib.crc32(output.tobytes()) for output in outputs], np.int64)
    with written_beside(path) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, marks=np.array(marks, np.int64), check=check, **arrays)


def _read(path: Path) -> tuple[list[NDArray[Any]], list[int]]:
    try:
        with np.load(path) as stored:
            outputs = [stored[f"output_{index}"] for index in range(len(stored["check"]))]
            whole = [zlib.crc32(output.tobytes()) for output in outputs] == stored["check"].tolist()
            marks = stored["marks"].tolist()
    except (OSError, ValueError, KeyError, EOFError, zlib.error, BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Delete it, and the teacher is asked again."
        ) from error
    if not whole:
        raise DataError(f"{path} is damaged. Delete it, and the teacher is asked again.")
    return outputs, marks


def _check_first(path: Path, batches: Iterable[tuple[Any, ...]], epoch: int) -> None:
    _, marks = _read(path)
    first = next(iter(batches), None)
    if first is None or _mark(first[0]) != marks[0]:
        raise DataError(
            f"Epoch {epoch} begins with another batch than the teacher saw. The source has to give the same"
            f" batches each time; delete {path.parent} to ask the teacher about these."
        )


def _mark(x: Any) -> int:
    mark = 0
    for array in keras.tree.flatten(x):
        mark = zlib.crc32(np.ascontiguousarray(array).tobytes(), mark)
    return mark


def _rows(x: Any) -> int:
    return len(keras.tree.flatten(x)[0])
