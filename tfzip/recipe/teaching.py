"""Students of teachers that are named by their files."""

import tempfile
from pathlib import Path
from typing import Any

from tfzip.recipe.one_step import target_of, work_in
from tfzip.recipe.steps.distill import DistillStep
from tfzip.recipe.steps.step import MODEL_FILE
from tfzip.sources.data import load_data


def distill_spec(
    teacher: str, output: str, step: DistillStep, *, data: str, divide_by: float = 1.0, unsafe: bool = False
) -> dict[str, Any]:
    """Trains a student and writes it.

    Args:
        teacher: The model file.
        output: Path of the student, ending in `.keras`; written when the training is over.
        step: Which student, and how it is trained.
        data: As for `load_data`.
        divide_by: What inputs are divided by. Defaults to 1.
        unsafe: Whether code inside model files may run. Defaults to False.

    Returns:
        What the step found, and `path`.

    Raises:
        TfzipError: Teacher, student and data do not fit together.
    """
    target = target_of(output, teacher)
    splits = load_data(data, split="train", divide_by=divide_by)
    with tempfile.TemporaryDirectory(prefix="tfzip-", dir=target.parent) as folder:
        work = work_in(Path(folder), Path(teacher), splits, unsafe=unsafe)
        facts = dict(step.run(work).facts)
        (work.folder / MODEL_FILE).replace(target)
    return {"path": str(target), **facts}
