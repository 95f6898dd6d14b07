"""The step that checks every file against its model."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tfzip.errors import DataError, OptionError
from tfzip.recipe.steps.step import Outcome, Step, Work, steps
from tfzip.sources.data import num_rows, take_rows
from tfzip.units import format_fraction


@steps.register
@dataclass(frozen=True)
class CompareStep(Step):
    """Compares every file exported so far with the model it came from, on the test split.

    Args:
        samples: How many rows of the test split to use. Defaults to all of them.
    """

    samples: int | None = None

    needs_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise OptionError(f"samples is at least 1. Received: {self.samples}.")

    def run(self, work: Work) -> Outcome:
        """Runs model and file on the same rows."""
        from tfzip.runtime.compare import compare
        from tfzip.sources.models import load_model

        rows = slice(0, self.samples)
        x = take_rows(work.data.x_test, rows)
        y = None if work.data.y_test is None else work.data.y_test[rows]
        if num_rows(x) == 0:
            raise DataError("The test split is empty, so there is nothing to compare on. Give more rows.")
        facts: dict[str, Any] = {"files": {}}
        for file in work.files:
            model = load_model(file.model_path, unsafe=work.unsafe)
            parity = compare(model, file.path, x, y, seed=work.seed).to_dict() | {"path": file.name}
            facts["files"][file.name] = parity
            work.say(f"{file.name}: {_line(parity)}")
        return Outcome(facts, f"{len(work.files)} files on {num_rows(x)} rows of the test split")


def _line(parity: dict[str, Any]) -> str:
    output = parity["outputs"][0]
    parts = [f"cosine {output['cosine']:.6f}"]
    if parity["agreement"] is not None:
        parts.append(f"agreement {format_fraction(parity['agreement'])}")
    if quality := output["quality"]:
        parts.append(f"{quality['metric']} {quality['file']:.4f}, model {quality['model']:.4f}")
    return ", ".join(parts)
