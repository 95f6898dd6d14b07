"""Runs a recipe so that it can be ended at any moment and continued."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzip.artifact import sha256_of
from tfzip.errors import TfzipError
from tfzip.recipe.digests import data_digest, digest_of, model_digest
from tfzip.recipe.loading import load_recipe
from tfzip.recipe.recipe import Recipe, config_of
from tfzip.recipe.report import RunReport, write_report
from tfzip.recipe.run_folder import (
    SOURCE_FOLDER,
    StepRecord,
    begin_step,
    damaged_file,
    files_in,
    open_run_folder,
    read_record,
    remove_run,
    remove_steps,
    write_record,
)
from tfzip.recipe.steps.step import MODEL_FILE, ExportedFile, Outcome, Step, Work, steps
from tfzip.sources.data import DataSplits, load_data
from tfzip.sources.models import check_finite, load_model
from tfzip.units import format_ms

if TYPE_CHECKING:
    import keras

_PACKAGES = ("tfzip", "tensorflow", "keras", "ai-edge-litert", "numpy")


def run_recipe(
    recipe: Recipe | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    fresh: bool = False,
    unsafe: bool = False,
    say: Callable[[str], None] = print,
) -> RunReport:
    """Runs a recipe, or continues a run that was ended, killed or has a changed recipe.

    Each step leaves its files and a record in a folder of its own. A step whose record still holds is not
    done again; from the first that does not hold on, all are. An interrupted training goes on after its last
    finished epoch. Whether a run was interrupted makes no difference to its files and figures, times apart.

    Seeds this process and makes TensorFlow's operations deterministic in it.

    Args:
        recipe: A recipe or the path of one.
        folder: Where the run lives. Defaults to `runs/NAME`.
        fresh: Whether to start over; what is there is removed once model and data are loaded. Defaults to
            False.
        unsafe: Whether code inside the model file may run. Defaults to False.
        say: Takes one line of progress at a time. Defaults to `print`.

    Returns:
        What every step found, and where the report and the last file are.

    Raises:
        RecipeError: The recipe does not load.
        OptionError: The folder is in use or holds something else.
        TfzipError: The model or the data cannot be loaded, or a step cannot do its work; the message begins
            with the recipe and the field or step.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    place = Path(folder) if folder is not None else Path("runs") / recipe.name
    with open_run_folder(place, recipe.name):
        records = _Run(recipe, place, unsafe, say).run_steps(fresh)
        return write_report(recipe, place, records, versions())


def versions() -> dict[str, str]:
    """Returns the versions of the packages that decide the result of a run."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass
class _Run:
    """The work so far: what the next step starts from."""

    recipe: Recipe
    folder: Path
    unsafe: bool
    say: Callable[[str], None]

    def run_steps(self, fresh: bool) -> list[StepRecord]:
        _make_deterministic(self.recipe.seed)
        self.trusts_model = self.unsafe or is_from_here(self.recipe)
        with self._blaming("field 'model'"):
            model = load_model(self.recipe.model, unsafe=self.unsafe)
            check_finite(model)
        with self._blaming("[data]"):
            self.data = data_of(self.recipe, model)
        if fresh:
            remove_run(self.folder)
        self._keep_source(model)
        self.data_digest = data_digest(self.data)
        self.files: list[ExportedFile] = []
        self.file_digests: list[str] = []
        self.redo = False
        names = [f"{i:02d}-{steps.name_of(step)}" for i, step in enumerate(self.recipe.steps, 1)]
        remove_steps(self.folder, keep=(SOURCE_FOLDER, *names))
        return [
            self._step(number, step, self.folder / names[number - 1])
            for number, step in enumerate(self.recipe.steps, 1)
        ]

    @contextmanager
    def _blaming(self, part: str) -> Iterator[None]:
        """Begins the message of an error with the recipe and what in it came up."""
        try:
            yield
        except TfzipError as error:
            file = self.recipe.path
            error.place = f"{file if file.name else self.recipe.name}: {part}"
            raise

    def _keep_source(self, model: "keras.Model") -> None:
        """Puts the starting model in the run folder."""
        digest = model_digest(model)
        folder = self.folder / SOURCE_FOLDER
        record = read_record(folder)
        if record is None or record.content != digest or damaged_file(folder, record):
            begin_step(folder)
            model.save(folder / MODEL_FILE)
            files = files_in(folder, (MODEL_FILE,))
            write_record(folder, StepRecord("source", {}, files, digest, {}, "", 0.0, MODEL_FILE))
        self.model_path, self.model_digest = folder / MODEL_FILE, digest

    def _step(self, number: int, step: Step, folder: Path) -> StepRecord:
        title = f"[{number}/{len(self.recipe.steps)}] {steps.name_of(step)}"
        basis = {
            "config": config_of(step),
            "model": self.model_digest,
            "data": self.data_digest,
            "files": list(self.file_digests),
            "seed": self.recipe.seed + number,
            "versions": versions(),
        }
        record = read_record(folder)
        reason = _why_redo(folder, record, basis)
        if record is not None and not reason and not self.redo:
            self.say(f"{title}: done before. {record.summary}")
        else:
            if record is not None:
                self.say(f"{title}: again, since {reason or 'an earlier step was done again'}")
            else:
                self.say(f"{title} ...")
            self.redo = True
            with self._blaming(f"step {number} ({steps.name_of(step)})"):
                record = self._do(step, folder, basis)
            self.say(f"{title}: {record.summary} ({format_ms(record.seconds * 1000)})")
        self._advance(folder, record)
        return record

    def _do(self, step: Step, folder: Path, basis: Mapping[str, Any]) -> StepRecord:
        begin_step(folder)
        _make_deterministic(basis["seed"])
        work = Work(
            name=self.recipe.name,
            folder=folder,
            model_path=self.model_path,
            data=self.data,
            files=tuple(self.files),
            key=digest_of(basis),
            seed=basis["seed"],
            unsafe=self.trusts_model,
            say=lambda line: self.say(f"      {line}"),
        )
        began = time.monotonic()
        outcome = step.run(work)
        return write_record(folder, self._record(step, folder, basis, outcome, time.monotonic() - began))

    def _record(
        self, step: Step, folder: Path, basis: Mapping[str, Any], outcome: Outcome, seconds: float
    ) -> StepRecord:
        left = tuple(name for name in (outcome.model, outcome.exported) if name)
        content = ""
        if outcome.model:
            content = model_digest(load_model(folder / outcome.model, unsafe=self.trusts_model))
        elif outcome.exported:
            content = sha256_of(folder / outcome.exported)
        return StepRecord(
            step=steps.name_of(step),
            basis=basis,
            files=files_in(folder, left),
            content=content,
            facts=outcome.facts,
            summary=outcome.summary,
            seconds=round(seconds, 3),
            model=outcome.model,
            exported=outcome.exported,
            scheme=outcome.scheme,
        )

    def _advance(self, folder: Path, record: StepRecord) -> None:
        if record.model:
            self.model_path, self.model_digest = folder / record.model, record.content
        if record.exported:
            file = folder / record.exported
            self.files.append(ExportedFile(file, record.scheme, self.model_path, record.facts))
            self.file_digests.append(record.content)


def is_from_here(recipe: Recipe) -> bool:
    """Whether the model comes from a function of the user's own, whose code may run."""
    return ":" in recipe.model and not Path(recipe.model).exists()


def data_of(recipe: Recipe, model: "keras.Model") -> DataSplits:
    """Loads the data of a recipe; images get the size that its model takes."""
    options = recipe.data
    return load_data(
        options.source,
        val_fraction=options.val_fraction,
        divide_by=options.divide_by,
        seed=recipe.seed,
        size=_image_size(model),
    )


def _image_size(model: "keras.Model") -> tuple[int, int] | None:
    """Returns the height and width of the images that a model takes, or None where it takes others."""
    shape: tuple[int | None, ...] = tuple(model.inputs[0].shape) if model.inputs else ()
    match shape:
        case (_, int(height), int(width), _):
            return height, width
    return None


def _make_deterministic(seed: int) -> None:
    """Makes all that follows depend on the seed alone, whatever this process did before."""
    import keras
    import tensorflow as tf

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _why_redo(folder: Path, record: StepRecord | None, basis: Mapping[str, Any]) -> str:
    """Returns why a record does not hold, or nothing."""
    if record is None:
        return "it was not finished"
    old, new = record.basis.get("config", {}), basis["config"]
    for name in new:
        if old.get(name) != new[name]:
            return f"{name} changed from {old.get(name)!r} to {new[name]!r}"
    inputs = {"model": "its model", "data": "the data", "files": "its files", "seed": "the seed"}
    for name, words in inputs.items():
        if record.basis.get(name) != basis[name]:
            return f"{words} changed"
    if record.basis.get("versions") != basis["versions"]:
        return "the versions of packages changed"
    name = damaged_file(folder, record)
    return f"{name} is missing or damaged" if name else ""
