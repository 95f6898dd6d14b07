"""The trainings of `bench_distillation_accuracy`: which students, which losses, the same budget for each."""

from dataclasses import dataclass

OUTPUTS, FEATURES = ("kd", "dkd"), ("hint", "attention_transfer")
ALONE = ""  # by labels, without a teacher
SCRATCH, HALF, FOUR_BITS = "from random weights", "half the MACs", "w4a8"
STEPS = {SCRATCH: (0.1, 0.1), HALF: (0.05, 0.0)}  # rate, and share of the fit in which it rises
AWARE_RATE = 0.001  # of Adam


@dataclass(frozen=True)
class Kind:
    """A row.

    Attributes:
        student: What is trained: ResNet-8 from random weights, or the published ResNet-8 after a compression.
        loss: By which a teacher takes part; `ALONE` for none.
    """

    student: str
    loss: str

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"{self.student}, {self.loss or 'labels alone'}"


KINDS = (
    *(Kind(SCRATCH, loss) for loss in (ALONE, *OUTPUTS, *FEATURES)),
    *(Kind(student, loss) for student in (HALF, FOUR_BITS) for loss in (ALONE, "kd")),
)
