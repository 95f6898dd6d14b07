"""Angle between outputs."""

from dataclasses import dataclass

from tfzip.distillation.losses.distillation_loss import OutputLoss, Tensor, distillation_losses, unit
from tfzip.distillation.losses.operations import ops


@distillation_losses.register
@dataclass(frozen=True)
class CosineLoss(OutputLoss):
    """One less the cosine between outputs, for embeddings and logits whose length does not matter.

    L = 1 - <teacher, student> / (|teacher| |student|)
    """

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the loss along the last axis, shape (batch, ...)."""
        return 1.0 - ops.sum(unit(teacher) * unit(student), axis=-1)
