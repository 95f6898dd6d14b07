"""The base of recipe steps, what they find and what they leave."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfzip.registry import Registry
from tfzip.sources.data import DataSplits

if TYPE_CHECKING:
    import keras

steps: Registry["Step"] = Registry("Step")

MODEL_FILE = "model.keras"


@dataclass(frozen=True)
class ExportedFile:
    """A .tflite that a step of this run wrote.

    Attributes:
        path: Where it is.
        scheme: Its scheme.
        model_path: The Keras model it was exported from.
        facts: Size, sparsity and what else its export reported.
    """

    path: Path
    scheme: str
    model_path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name in reports: relative to the folder of the run."""
        return f"{self.path.parent.name}/{self.path.name}"


@dataclass(frozen=True)
class Work:
    """The work so far, as a step finds it.

    Attributes:
        name: Name of the recipe.
        folder: Folder of the step's own, where it writes.
        model_path: The model at this point.
        data: The data of the recipe.
        files: What earlier steps exported, oldest first.
        key: Digest of all that decides this step's result.
        seed: Seed of this step.
        unsafe: Whether code inside model files may run.
        say: Takes one line of progress.
    """

    name: str
    folder: Path
    model_path: Path
    data: DataSplits
    files: tuple[ExportedFile, ...]
    key: str
    seed: int
    unsafe: bool
    say: Callable[[str], None]

    def load_model(self) -> "keras.Model":
        """Loads the model at this point from its file, so that a resumed run starts from the same bytes."""
        from tfzip.sources.models import load_model

        return load_model(self.model_path, unsafe=self.unsafe)


@dataclass(frozen=True)
class Outcome:
    """What a step leaves.

    Attributes:
        facts: What it measured, ready for JSON.
        summary: The facts in one line.
        model: Name of the new model in the step's folder; empty when the step changes no model.
        exported: Name of the .tflite in the step's folder; empty when the step exports none.
        scheme: Scheme of the exported file.
    """

    facts: dict[str, Any]
    summary: str
    model: str = ""
    exported: str = ""
    scheme: str = ""


class Step(ABC):
    """A verb applied to the work so far; its fields are what a recipe may say about it."""

    needs_file: ClassVar[bool] = False
    """Whether an earlier step must have exported a file."""

    exports: ClassVar[bool] = False
    """Whether the step leaves a .tflite."""

    @abstractmethod
    def run(self, work: Work) -> Outcome:
        """Does the work in `work.folder` and says what it left there.

        The result depends on nothing but the step's fields and `work`. A step that is ended half-way is
        called again with the same `work.key`, and finds its restart point.
        """
