"""Similarity-preserving distillation."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.distillation.losses.distillation_loss import (
    FeatureLoss,
    Tensor,
    distillation_losses,
    flat,
    unit,
)
from tfzip.distillation.losses.operations import ops


@distillation_losses.register
@dataclass(frozen=True)
class SimilarityPreservingLoss(FeatureLoss):
    """Squared difference of the similarities between the samples of a batch.

    Works between features of any two shapes.

    Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, equations 1 to 4, for a batch of b:

        G = F F^T with rows of length 1;  L = |G_teacher - G_student|^2 / b^2
    """

    weight: ClassVar[float] = 3000.0

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the rows' shares, of which the mean is the loss, shape (batch,)."""
        return ops.mean(ops.square(_similarities(teacher) - _similarities(student)), axis=-1)


def _similarities(features: Tensor) -> Tensor:
    rows = flat(features)
    return unit(ops.matmul(rows, ops.transpose(rows)))
