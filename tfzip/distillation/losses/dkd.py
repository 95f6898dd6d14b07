"""Decoupled knowledge distillation."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.distillation.losses.distillation_loss import (
    OutputLoss,
    Tensor,
    check_positive,
    check_temperature,
    distillation_losses,
)
from tfzip.distillation.losses.operations import ops

_LEAST = -1e30  # whose share among the others is 0, whatever they are


@distillation_losses.register
@dataclass(frozen=True)
class DkdLoss(OutputLoss):
    """Distillation with the target class and the other classes apart.

    In plain distillation a teacher that is sure of the target leaves the other classes little weight; here
    theirs is `beta` in any case.

    Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022, equation 7, with the probabilities
    b = (p_target, 1 - p_target) and q = softmax over the classes other than the target, at temperature T:

        L = T^2 * (alpha * KL(b_teacher || b_student) + beta * KL(q_teacher || q_student))

    The target is the teacher's first choice, not the label, which keeps the loss a matter between the two.

    Attributes:
        alpha: Weight of the target class. Defaults to 1.0.
        beta: Weight of the other classes. Defaults to 8.0.
        temperature: T, at most 100. Defaults to 4.0.
    """

    per_class: ClassVar[bool] = True

    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            check_positive(name, getattr(self, name))
        check_temperature(self.temperature)

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the loss of each position, shape (batch, ...) without the classes."""
        target = ops.one_hot(ops.argmax(teacher, axis=-1), teacher.shape[-1], dtype=teacher.dtype)
        teacher_target, teacher_others = _apart(teacher / self.temperature, target)
        student_target, student_others = _apart(student / self.temperature, target)
        divided = self.alpha * _divergence(teacher_target, student_target)
        divided += self.beta * _divergence(teacher_others, student_others)
        return self.temperature**2 * divided


def _apart(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the logarithms of (p_target, 1 - p_target), and of the softmax without the target."""
    others = ops.where(target > 0, _LEAST, logits)
    at_target = ops.sum(logits * target, axis=-1)
    rest = ops.logsumexp(others, axis=-1)
    both = ops.stack([at_target, rest], axis=-1)
    return ops.log_softmax(both), ops.log_softmax(others)


def _divergence(log_teacher: Tensor, log_student: Tensor) -> Tensor:
    return ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=-1)
