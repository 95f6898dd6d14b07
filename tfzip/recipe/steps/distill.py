"""The step that trains a student."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tfzip.distillation.losses import DistillationLoss, KdLoss, distillation_losses
from tfzip.errors import OptionError
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Work, steps
from tfzip.recipe.steps.train import TrainStep, last_line
from tfzip.units import format_fraction

if TYPE_CHECKING:
    import keras


@steps.register
@dataclass(frozen=True)
class DistillStep(TrainStep):
    """Trains a student with the model so far as its teacher; the student is the model from then on.

    The fields of `train`, and these.

    Args:
        student: A model file, or a function that makes one, as for the recipe's `model`. Defaults to a model
            that is cut from the teacher.
        width: Share of its channels that such a student keeps. Defaults to 0.5.
        depth: Share of its residual blocks. Defaults to 1.0.
        inherit: Whether it keeps the weights of what it keeps. Defaults to True.
        distill: Distillation losses. Defaults to `["kd"]`.
    """

    student: str = ""
    width: float = 0.5
    depth: float = 1.0
    inherit: bool = True
    distill: tuple[Annotated[DistillationLoss, distillation_losses], ...] = (KdLoss(),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.distill:
            raise OptionError("distill has at least one loss. Received none.")
        if not self.student and not (
            0 < self.width <= 1 and 0 <= self.depth <= 1 and self.width * self.depth < 1
        ):
            raise OptionError(
                "A student that is cut from the teacher has a width above 0 and a depth of at least 0, one of"
                f" them below 1. Received: {self.width}, {self.depth}."
            )

    def run(self, work: Work) -> Outcome:
        """Makes the student, trains and saves it."""
        from tfzip.graph import profile
        from tfzip.recipe.training import fit

        teacher = work.load_model()
        student = self.made(teacher, work)
        history = fit(student, self, work)
        student.save(work.folder / MODEL_FILE)
        before, after = profile(teacher), profile(student)
        facts = {
            "history": history,
            "macs": {"teacher": before.macs, "student": after.macs},
            "parameters": {"teacher": before.parameters, "student": after.parameters},
        }
        line = f"{format_fraction(after.macs / before.macs)} of the teacher's MACs, {last_line(history)}"
        return Outcome(facts, line, model=MODEL_FILE)

    def made(self, teacher: "keras.Model", work: Work) -> "keras.Model":
        """Returns the student before it is trained."""
        import keras

        from tfzip.graph.walk import check_built
        from tfzip.pruning.channels.shrink_model import shrink
        from tfzip.sources.models import load_model

        keras.utils.set_random_seed(work.seed)  # what a function draws is the same after an interruption
        if self.student:
            student = load_model(self.student, unsafe=work.unsafe)
            check_built(student)
            return student
        return shrink(teacher, self.width, self.depth, inherit=self.inherit, seed=work.seed)
