"""Attention transfer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tfzip.distillation.losses.distillation_loss import (
    FeatureLoss,
    Tensor,
    distillation_losses,
    flat,
    unit,
)
from tfzip.distillation.losses.operations import ops
from tfzip.errors import OptionError

if TYPE_CHECKING:
    import keras


@distillation_losses.register
@dataclass(frozen=True)
class AttentionTransferLoss(FeatureLoss):
    """Squared difference of attention maps: where features are large, whatever the channels mean.

    Needs no projection, since maps have no channels. Between very different architectures it may hurt.

    Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017, equation 2 with the mean over
    positions, as in the authors' code:

        Q = mean over channels of F^2, flattened, divided by its length;  L = mean((Q_teacher - Q_student)^2)
    """

    weight: ClassVar[float] = 1000.0

    def projector(
        self, teacher: tuple[int | None, ...], student: tuple[int | None, ...]
    ) -> "keras.Layer | None":
        """Checks that both have maps of the same size."""
        if len(teacher) < 3 or teacher[1:-1] != student[1:-1]:
            raise OptionError(
                f"Attention maps need features with the same positions. Received: teacher {teacher[1:]},"
                f" student {student[1:]}. Name layers of the same resolution with layers=."
            )
        return None

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the mean over positions, shape (batch,)."""
        return ops.mean(ops.square(_attention(teacher) - _attention(student)), axis=-1)


def _attention(features: Tensor) -> Tensor:
    return unit(flat(ops.mean(ops.square(features), axis=-1)))
