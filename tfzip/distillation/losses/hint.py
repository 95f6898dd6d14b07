"""Hints: the teacher's features, regressed from the student's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tfzip.distillation.losses.distillation_loss import (
    FeatureLoss,
    Tensor,
    distillation_losses,
    mean_over_positions,
)
from tfzip.distillation.losses.operations import ops
from tfzip.errors import OptionError

if TYPE_CHECKING:
    import keras


@distillation_losses.register
@dataclass(frozen=True)
class HintLoss(FeatureLoss):
    """Mean squared difference of features, through a learned projection where the widths differ.

    Suits students cut from their teacher, whose features already mean the same.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, equation 3, with a convolution of size 1 as
    the regressor r:

        L = mean((teacher - r(student))^2)
    """

    weight: ClassVar[float] = 1.0

    def projector(
        self, teacher: tuple[int | None, ...], student: tuple[int | None, ...]
    ) -> "keras.Layer | None":
        """Returns a projection of the last axis, or None where the shapes are equal."""
        if teacher[1:] == student[1:]:
            return None
        if teacher[1:-1] != student[1:-1] or teacher[-1] is None:
            raise OptionError(
                f"Hints need features that differ in the last axis only. Received: teacher {teacher[1:]},"
                f" student {student[1:]}. Name layers of the same resolution, or take"
                " 'similarity_preserving' or 'relational'."
            )
        import keras

        return keras.layers.Dense(teacher[-1], use_bias=False)  # the last axis, at every position

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the mean over all but the batch, shape (batch,)."""
        return mean_over_positions(ops.square(teacher - student))
