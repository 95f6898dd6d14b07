"""Contrastive distillation: each sample's features are told from those of the others in its batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tfzip.distillation.losses.distillation_loss import (
    FeatureLoss,
    Tensor,
    check_positive,
    distillation_losses,
    unit,
)
from tfzip.distillation.losses.operations import ops
from tfzip.errors import OptionError

if TYPE_CHECKING:
    import keras


@distillation_losses.register
@dataclass(frozen=True)
class ContrastiveLoss(FeatureLoss):
    """Cross-entropy of finding the teacher's features of a sample among those of its batch.

    Features with positions are averaged over them. Samples of the same batch are the negatives, so it gains
    from large batches; the paper draws them from a memory of the whole training set.

    Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020, equations 10 and 19, with the
    cross-entropy over a batch of van den Oord et al. 2018, equation 4, for a learned projection r of the
    student and rows of length 1:

        L_i = -log(exp(r(s_i) t_i / temperature) / sum_j exp(r(s_i) t_j / temperature))

    Attributes:
        temperature: Defaults to 0.1.
    """

    weight: ClassVar[float] = 0.8

    temperature: float = 0.1

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)

    def projector(self, teacher: tuple[int | None, ...], student: tuple[int | None, ...]) -> "keras.Layer":
        """Returns a projection of the last axis to the teacher's width."""
        if teacher[-1] is None or student[-1] is None:
            raise OptionError(
                f"'contrastive' needs features of a known width. Received: teacher {teacher[1:]}, student"
                f" {student[1:]}."
            )
        import keras

        return keras.layers.Dense(teacher[-1])

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the cross-entropy of each sample, shape (batch,)."""
        teacher, student = _directions(teacher), _directions(student)
        near = ops.matmul(student, ops.transpose(teacher)) / self.temperature
        return -ops.diagonal(ops.log_softmax(near, axis=-1))


def _directions(features: Tensor) -> Tensor:
    """Returns means over positions, as rows of length 1."""
    positions = tuple(range(1, len(features.shape) - 1))
    return unit(ops.mean(features, axis=positions) if positions else features)
