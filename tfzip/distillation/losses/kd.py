"""Knowledge distillation with softened probabilities."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.distillation.losses.distillation_loss import (
    OutputLoss,
    Tensor,
    check_temperature,
    distillation_losses,
)
from tfzip.distillation.losses.operations import ops


@distillation_losses.register
@dataclass(frozen=True)
class KdLoss(OutputLoss):
    """Kullback-Leibler divergence from the teacher's softened probabilities to the student's.

    The default choice for classifiers: nothing to tune but the temperature, and seldom beaten by far.

    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2:

        L = T^2 * KL(softmax(teacher / T) || softmax(student / T))

    Attributes:
        temperature: T; higher shows more of the order among wrong classes. At most 100.
            Defaults to 4.0.
    """

    per_class: ClassVar[bool] = True

    temperature: float = 4.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the loss of each position, shape (batch, ...) without the classes."""
        log_teacher = ops.log_softmax(teacher / self.temperature)
        log_student = ops.log_softmax(student / self.temperature)
        divergence = ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)
        return self.temperature**2 * divergence
