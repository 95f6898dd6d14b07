"""Squared difference of outputs."""

from dataclasses import dataclass

from tfzip.distillation.losses.distillation_loss import OutputLoss, Tensor, distillation_losses
from tfzip.distillation.losses.operations import ops


@distillation_losses.register
@dataclass(frozen=True)
class MseLoss(OutputLoss):
    """Mean squared difference of outputs, for regression, or of logits.

    Ba, Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014, equation 1:

        L = mean((teacher - student)^2)
    """

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the mean over the last axis, shape (batch, ...)."""
        return ops.mean(ops.square(teacher - student), axis=-1)
