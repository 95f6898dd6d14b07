"""The step that measures the model itself."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfzip.errors import DataError
from tfzip.recipe.steps.step import Outcome, Step, Work, steps
from tfzip.runtime.scores import score, task_of

_BATCH_SIZE = 256


@steps.register
@dataclass(frozen=True)
class EvaluateStep(Step):
    """Measures the Keras model: accuracy for classes, mean absolute error for values.

    Args:
        split: `"val"`, to choose by, or `"test"`, for the last verdict. Defaults to `"val"`.
    """

    split: Literal["val", "test"] = "val"

    def run(self, work: Work) -> Outcome:
        """Predicts the split and scores it."""
        from tfzip.explained import explained

        x, y = getattr(work.data, f"x_{self.split}"), getattr(work.data, f"y_{self.split}")
        if y is None or len(y) == 0:
            raise DataError(f"The {self.split} split has no targets to evaluate against. Give data with y.")
        model = work.load_model()
        with explained("Evaluation", "Check that the data fits the model."):
            outputs = np.asarray(model.predict(x, batch_size=_BATCH_SIZE, verbose=0))
        task = task_of(outputs, y) or "values"
        quality = score(outputs, outputs, y, task, work.seed)
        facts: dict[str, Any] = {"split": self.split, "num_rows": len(y)}
        facts |= {"metric": quality.metric, "value": quality.model}
        return Outcome(
            facts, f"{quality.metric} {quality.model:.4f} on {len(y)} rows of the {self.split} split"
        )
