"""What the verbs that prepare a model for its grids give back."""

from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Change:
    """What a step did to a kernel or to a set of kernels, or why it left it alone.

    Attributes:
        step: Name of the step: `"equalize"`, `"round"` or `"correct bias"`.
        path: Paths of the layers, joined by `" + "` where they changed together.
        detail: What was reached; empty where nothing was done.
        skipped: Why nothing was done; empty where something was.
    """

    step: str
    path: str
    detail: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class Revision:
    """A new model and what was done to it.

    Attributes:
        model: The new model, with what float weights cannot say in its record.
        changes: In the order in which they happened.
    """

    model: keras.Model
    changes: tuple[Change, ...]

    @property
    def skipped(self) -> tuple[Change, ...]:
        """What was left alone, with reasons."""
        return tuple(change for change in self.changes if change.skipped)

    def __str__(self) -> str:
        width = max((len(change.path) for change in self.changes), default=0)
        return "\n".join(
            f"{change.step:12}  {change.path:{width}}  "
            + (f"left alone: {change.skipped}" if change.skipped else change.detail)
            for change in self.changes
        )
