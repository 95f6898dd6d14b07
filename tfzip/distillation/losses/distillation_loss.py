"""The bases of all distillation losses and their registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tfzip.distillation.losses.operations import ops
from tfzip.errors import OptionError
from tfzip.given import is_number
from tfzip.registry import Registry

if TYPE_CHECKING:
    import keras

Tensor = Any
_HIGHEST_TEMPERATURE = 100.0
_LEAST_SQUARE = 1e-24  # what float32 still takes a reciprocal of


@dataclass(frozen=True)
class DistillationLoss(ABC):
    """How far a student is from its teacher.

    Attributes:
        weight: In the sum of all losses, where that of the labels weighs 1; a distiller may be told another.
        per_class: Whether it compares classes, so that it needs logits.
    """

    weight: ClassVar[float] = 1.0
    per_class: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Returns the loss of each sample.

        Args:
            teacher: What the teacher makes of a batch, float32, shape (batch, ...).
            student: What the student makes of the same batch, float32.

        Returns:
            Shape (batch,), or (batch, ...) for losses that know the position, such as those of maps.
        """


@dataclass(frozen=True)
class OutputLoss(DistillationLoss):
    """Compares outputs.

    Attributes:
        output: Name of the output it is for, in models with several. Defaults to None: each of them.
    """

    output: str | None = None


@dataclass(frozen=True)
class FeatureLoss(DistillationLoss):
    """Compares features, which are outputs of layers.

    Attributes:
        layers: Paths or globs of student layers, each with that of the teacher's; a glob alone names layers
            of both, which are paired in order. Defaults to `"auto"`: the end of the stage of each resolution
            that both have.
    """

    layers: Any = "auto"

    def projector(
        self,
        teacher: tuple[int | None, ...],  # noqa: ARG002
        student: tuple[int | None, ...],  # noqa: ARG002
    ) -> "keras.Layer | None":
        """Returns a layer that takes the student's features to the teacher's shape, or None.

        It is trained with the student and thrown away after it.

        Args:
            teacher: Shape of the teacher's features, (batch, ...).
            student: Shape of the student's.

        Raises:
            OptionError: Such features cannot be compared.
        """
        return None


def check_positive(name: str, value: float) -> None:
    """Raises `OptionError` unless a field is a positive number."""
    if not is_number(value) or not value > 0:
        raise OptionError(f"{name} must be a positive number. Received: {value!r}.")


def check_temperature(value: float) -> None:
    """Raises `OptionError` unless float32 can tell probabilities at a temperature from equal ones."""
    check_positive("temperature", value)
    if value > _HIGHEST_TEMPERATURE:
        raise OptionError(
            f"temperature is at most {_HIGHEST_TEMPERATURE:g}, above which float32 rounds the loss away and"
            f" it is that of 'mse'. Received: {value!r}."
        )


def flat(features: Tensor) -> Tensor:
    """Returns features as a matrix, one row for each sample."""
    return ops.reshape(features, (ops.shape(features)[0], -1))


def unit(rows: Tensor) -> Tensor:
    """Returns rows, along the last axis, with length 1; rows of zeros stay zeros, with a gradient of 0."""
    squared = ops.sum(ops.square(rows), axis=-1, keepdims=True)
    has_length = squared > _LEAST_SQUARE
    return ops.where(has_length, rows * ops.rsqrt(ops.where(has_length, squared, 1.0)), 0.0)


def mean_over_positions(values: Tensor) -> Tensor:
    """Returns the mean of everything but the batch, shape (batch,)."""
    return ops.mean(flat(values), axis=-1)


distillation_losses: Registry[DistillationLoss] = Registry("Loss")
