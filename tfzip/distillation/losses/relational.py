"""Relational distillation: distances and angles between the samples of a batch."""

from dataclasses import dataclass
from typing import ClassVar

from tfzip.distillation.losses.distillation_loss import FeatureLoss, Tensor, distillation_losses, flat
from tfzip.distillation.losses.operations import ops
from tfzip.errors import OptionError
from tfzip.given import is_number

_LEAST = 1e-12


@distillation_losses.register
@dataclass(frozen=True)
class RelationalLoss(FeatureLoss):
    """Huber loss between the teacher's and the student's distances and angles among samples.

    Works between features of any two shapes. Costs batch^2 times the size of features, and
    batch^3 for the angles.

    Park et al., "Relational Knowledge Distillation", CVPR 2019, equations 5 to 8: distances divided by their
    mean, and cosines of the angles at every sample between every two others:

        L = distance * mean(huber(d_teacher - d_student)) + angle * mean(huber(c_teacher - c_student))

    Attributes:
        distance: Weight of the distances. Defaults to 25.0.
        angle: Weight of the angles. Defaults to 50.0.
    """

    weight: ClassVar[float] = 1.0

    distance: float = 25.0
    angle: float = 50.0

    def __post_init__(self) -> None:
        numbers = is_number(self.distance) and is_number(self.angle)
        if not numbers or min(self.distance, self.angle) < 0 or self.distance + self.angle == 0:
            raise OptionError(
                "distance and angle are weights of at least 0, one of them more. Received:"
                f" {self.distance!r}, {self.angle!r}."
            )

    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the samples' shares, of which the mean is the loss, shape (batch,)."""
        teacher, student = _differences(teacher), _differences(student)
        shares = 0.0
        if self.distance:
            far = _huber(_distances(teacher) - _distances(student))
            shares += self.distance * ops.mean(far, axis=-1)
        if self.angle:
            turned = _huber(_angles(teacher) - _angles(student))
            shares += self.angle * ops.mean(turned, axis=(-2, -1))
        return shares


def _huber(difference: Tensor) -> Tensor:
    size = ops.absolute(difference)
    return ops.where(size <= 1.0, 0.5 * ops.square(difference), size - 0.5)


def _differences(features: Tensor) -> Tensor:
    """Returns what to add to one sample to get another, shape (batch, batch, size)."""
    rows = flat(features)
    return rows[None, :, :] - rows[:, None, :]


def _distances(differences: Tensor) -> Tensor:
    """Returns distances, divided by the mean of those between two samples, shape (batch, batch)."""
    apart = 1.0 - ops.eye(ops.shape(differences)[0], dtype=differences.dtype)
    squared = ops.maximum(ops.sum(ops.square(differences), axis=-1), _LEAST)
    distances = ops.sqrt(squared) * apart
    count = ops.maximum(ops.sum(apart), 1.0)
    return distances * count / ops.maximum(ops.sum(distances), _LEAST)


def _angles(differences: Tensor) -> Tensor:
    """Returns cosines at sample i between j and k, shape (batch, batch, batch)."""
    squared = ops.maximum(ops.sum(ops.square(differences), axis=-1, keepdims=True), _LEAST)
    directions = differences / ops.sqrt(squared)
    return ops.matmul(directions, ops.transpose(directions, (0, 2, 1)))
