"""The folder of a run: who may write in it, and what each finished step left."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfzip.artifact import sha256_of
from tfzip.errors import OptionError
from tfzip.files import write_text

RECORD_FILE = "record.json"
RESTART = "restart."  # how the names of files begin with which an interrupted step goes on
RESTART_FILE = f"{RESTART}npz"
SOURCE_FOLDER = "00-source"
REPORT_FILES = ("report.json", "report.md")
_MARKER = "run.json"
_LOCK = ".lock"


@dataclass(frozen=True)
class StepRecord:
    """What a finished step was, found and left; written last, so where there is one, the step is done.

    Attributes:
        step: Registered name.
        basis: All that decides the result: configuration, digests of the inputs, seed, versions.
        files: SHA-256 of every file the step left, by name.
        content: Digest of what later steps take from it; empty when they take nothing.
        facts: What the step measured.
        summary: The facts in one line.
        seconds: Wall time of the session that finished it.
        model: Name of the new model; empty when there is none.
        exported: Name of the .tflite; empty when there is none.
        scheme: Scheme of the .tflite.
    """

    step: str
    basis: Mapping[str, Any]
    files: Mapping[str, str]
    content: str
    facts: Mapping[str, Any]
    summary: str
    seconds: float
    model: str = ""
    exported: str = ""
    scheme: str = ""


def write_json(path: Path, value: Any) -> None:
    """Writes JSON beside its target and moves it into place."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


@contextlib.contextmanager
def open_run_folder(folder: Path, recipe_name: str) -> Iterator[None]:
    """Makes and locks a run folder; the lock goes with the process, however it ends.

    A folder made here is removed again where an error leaves nothing in it that a next run could use.

    Raises:
        OptionError: Another process works in it, or it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file. Expected a folder for the run; give another with --output.")
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a+")
    except OSError as error:
        raise OptionError(
            f"{folder} cannot be written: {error.strerror}. Give another with --output."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptionError(
                f"Another run works in {folder}. Wait until it ends, or give another folder with --output."
            ) from None
        _claim(folder, recipe_name)
        for left in folder.glob(".*.partial"):  # by a run that was killed while it wrote
            left.unlink()
        try:
            yield
        except BaseException:  # also an interrupt key: no empty run stays behind
            if made and not _has_work(folder):
                _remove_made(made)
            raise


def _claim(folder: Path, recipe_name: str) -> None:
    marker = folder / _MARKER
    if marker.exists():
        owner = _read_json(marker).get("recipe")
        if owner != recipe_name:
            raise OptionError(
                f"{folder} holds a run of the recipe {owner!r}, not of {recipe_name!r}."
                " Give another folder with --output."
            )
        return
    names = [entry.name for entry in folder.iterdir()]
    others = [name for name in names if name != _LOCK and not name.startswith(f".{_MARKER}.")]
    if others:
        raise OptionError(
            f"{folder} holds files that are not of a run, such as {others[0]}. Give an empty or new folder"
            " with --output."
        )
    write_json(marker, {"recipe": recipe_name})


def _has_work(folder: Path) -> bool:
    """Returns whether any step has been finished or has a restart point."""
    left = [*folder.glob(f"*/{RECORD_FILE}"), *folder.glob(f"*/{RESTART}*")]
    return any(file.parent.name != SOURCE_FOLDER for file in left)


def _remove_made(made: Sequence[Path]) -> None:
    """Removes a folder with all in it, and the folders above that were made for it and hold nothing else."""
    folder, *above = made
    shutil.rmtree(folder)
    for place in above:
        if any(place.iterdir()):
            return
        place.rmdir()


def read_record(folder: Path) -> StepRecord | None:
    """Returns the record of a finished step, or None when the step was not finished."""
    fields = _read_json(folder / RECORD_FILE)
    try:
        return StepRecord(**fields) if fields else None
    except TypeError:  # written by another version
        return None


def write_record(folder: Path, record: StepRecord) -> StepRecord:
    """Marks a step as finished and returns the record as it will be read; the restart point has served."""
    text = json.dumps(asdict(record), indent=2, default=str)
    write_text(folder / RECORD_FILE, text + "\n")
    for entry in folder.glob(f"{RESTART}*"):
        entry.unlink()
    return StepRecord(**json.loads(text))


def files_in(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Returns the digests of the named files."""
    return {name: sha256_of(folder / name) for name in names}


def damaged_file(folder: Path, record: StepRecord) -> str:
    """Returns the name of a file that is missing or differs from the record, or nothing."""
    for name, digest in record.files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            return name
    return ""


def begin_step(folder: Path) -> None:
    """Empties a step's folder, except for the restart points of an interrupted training."""
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif not entry.name.startswith(RESTART):
            entry.unlink()


def remove_run(folder: Path) -> None:
    """Removes all that an earlier run left: steps and reports."""
    remove_steps(folder, keep=())
    for name in REPORT_FILES:
        (folder / name).unlink(missing_ok=True)


def remove_steps(folder: Path, keep: Collection[str]) -> None:
    """Removes the folders of steps that the recipe no longer has."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in keep and entry.name[:2].isdigit():
            shutil.rmtree(entry)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # never written, or cut off by a crash of the machine
        return {}
    return value if isinstance(value, dict) else {}
