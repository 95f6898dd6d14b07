"""Files of what a teacher answered, an epoch in each, and whose answers they are."""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.distillation.ends import End
from tfzip.errors import DataError, OptionError
from tfzip.files import written_beside
from tfzip.graph.flat_graph import FlatGraph, FlatNode

META = "teacher.json"
_VERSION = 2
_OF_NO_WEIGHT = ("name", "trainable")  # what changes nothing of what a model computes


@dataclass(frozen=True)
class Answers:
    """Of one epoch.

    Attributes:
        outputs: The teacher's outputs, float32, all samples of the epoch in each.
        marks: A checksum of each batch.
        teacher: Digest of the teacher.
    """

    outputs: Sequence[NDArray[Any]]
    marks: Sequence[int]
    teacher: str


def digest_of(model: keras.Model, graph: FlatGraph) -> str:
    """Returns a digest of what a model computes: its operations with their settings, and its weights.

    Names of layers do not count, since Keras numbers them by what a process has built before.
    """
    digest = hashlib.sha256(f"{graph.input_ids()}{graph.output_ids()}".encode())
    for node in graph.nodes:
        digest.update(f"{node.inputs}{node.outputs}{_described(node)}".encode())
    for weight in model.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def claim(folder: Path, teacher: str, ends: Sequence[End]) -> None:
    """Notes whose answers a folder holds, or checks that they are this teacher's.

    Raises:
        OptionError: The folder is a file, holds answers of another teacher, or of nobody knows whom.
        DataError: What it says of the teacher cannot be read.
    """
    told = [{**asdict(end), "name": end.name if end.is_key else ""} for end in ends]
    wanted = json.loads(json.dumps({"version": _VERSION, "teacher": teacher, "ends": told}))
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file. Expected a folder for the answers, or a new name.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / META
    if path.exists():
        found = _meta(path)
        if found.get("version") != _VERSION:
            raise OptionError(f"{folder} was written by another version of tfzip. Delete it to ask again.")
        if found != wanted:
            raise OptionError(_of_another(folder))
    elif any(folder.glob("epoch-*.npz")):
        raise OptionError(f"{folder} holds answers, and {META}, which says whose, is missing. Delete it all.")
    else:
        with written_beside(path) as partial:
            partial.write_text(json.dumps(wanted, indent=2))


def part(folder: Path, epoch: int) -> Path:
    """Returns the file of an epoch."""
    return folder / f"epoch-{epoch:04}.npz"


def write(path: Path, answers: Answers) -> None:
    """Writes the answers of an epoch."""
    arrays = {f"output_{index}": output for index, output in enumerate(answers.outputs)}
    check = np.array([zlib.crc32(output.tobytes()) for output in answers.outputs], np.int64)
    with written_beside(path) as partial, partial.open("wb") as stream:
        np.savez(
            stream,
            allow_pickle=False,
            marks=np.array(answers.marks, np.int64),
            check=check,
            teacher=np.array(answers.teacher),
            **arrays,
        )


def read(path: Path, teacher: str) -> Answers:
    """Returns the answers of an epoch.

    Raises:
        DataError: The file is damaged.
        OptionError: It is another teacher's.
    """
    try:
        with np.load(path) as stored:
            outputs = [stored[f"output_{index}"] for index in range(len(stored["check"]))]
            whole = [zlib.crc32(output.tobytes()) for output in outputs] == stored["check"].tolist()
            found = Answers(outputs, stored["marks"].tolist(), str(stored["teacher"]))
    except (OSError, ValueError, KeyError, EOFError, zlib.error, BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Delete it, and the teacher is asked again."
        ) from error
    if not whole:
        raise DataError(f"{path} is damaged. Delete it, and the teacher is asked again.")
    if found.teacher != teacher:
        raise OptionError(_of_another(path))
    return found


def mark_of(batch: Any) -> int:
    """Returns a checksum of a batch, labels and weights included."""
    mark = 0
    for leaf in keras.tree.flatten(batch):
        array = np.asarray(leaf)
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        mark = zlib.crc32(f"{array.dtype}{array.shape}".encode() + content, mark)
    return mark


def _of_another(place: Path) -> str:
    return f"{place} holds the answers of another teacher. Name another folder, or delete it to ask this one."


def _meta(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Delete {path.parent}, and the teacher is asked again."
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{path} does not describe a teacher. Delete {path.parent} to ask again.")
    return found


def _described(node: FlatNode) -> str:
    """Returns an operation with its settings, without what names it."""
    config: Any = {}
    if node.is_layer:
        try:
            config = node.operation.get_config()
        except (NotImplementedError, TypeError, ValueError, AttributeError):  # a user's layer that has none
            config = {}
    described = [type(node.operation).__name__, _plain(config), _plain(node.args), _plain(node.kwargs)]
    return json.dumps(described, sort_keys=True)


def _plain(value: Any) -> Any:
    """Returns settings as JSON holds them, without names; of a policy the name is all there is."""
    if isinstance(value, Mapping):
        kept = [key for key in value if key not in _OF_NO_WEIGHT or set(value) == {"name"}]
        return {str(key): _plain(value[key]) for key in kept}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return mark_of(value) if isinstance(value, np.ndarray | np.generic) else type(value).__name__
