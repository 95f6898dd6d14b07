"""A loss as a distiller applies it: to which outputs or features, with which projections and weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tfzip.distillation.features import AUTO, FeaturePair, pair_features
from tfzip.distillation.losses import DistillationLoss, FeatureLoss, OutputLoss, distillation_losses
from tfzip.distillation.sides import Side
from tfzip.errors import OptionError, UnknownNameError
from tfzip.given import is_number
from tfzip.graph.walk import unique_name


@dataclass(frozen=True)
class Term:
    """A loss with what it compares.

    Attributes:
        name: Under which its value is logged.
        loss: The loss.
        weight: In the sum.
        ends: Indices of the outputs that it compares, of teacher and student.
        pairs: Features that it compares.
        projectors: For each pair, what takes the student's features to the teacher's shape, or None.
    """

    name: str
    loss: DistillationLoss
    weight: float
    ends: tuple[tuple[int, int], ...] = ()
    pairs: tuple[FeaturePair, ...] = ()
    projectors: tuple[keras.Layer | None, ...] = field(default=())

    def of_outputs(self, teacher: Sequence[Any], student: Sequence[Any]) -> list[Any]:
        """Returns what the loss makes of each output, shape (batch, ...) each."""
        return [self.loss(teacher[theirs], student[ours]) for theirs, ours in self.ends]

    def of_features(self, teacher: Mapping[str, Any], student: Mapping[str, Any]) -> list[Any]:
        """Returns what the loss makes of each pair of features, shape (batch,) each."""
        found = []
        for pair, projector in zip(self.pairs, self.projectors, strict=True):
            ours = _single(student[pair.student.path])
            if projector is not None:
                ours = projector(ours)
            found.append(self.loss(_single(teacher[pair.teacher.path]), _single(ours)))
        return found


def terms_of(losses: Any, weights: Any, teacher: Side, student: Side) -> list[Term]:
    """Returns the losses with what they compare.

    Raises:
        OptionError: A loss does not fit the models, or there are not as many weights as losses.
        UnknownNameError: A loss is not registered.
    """
    given = list(losses) if isinstance(losses, list | tuple) else [losses]
    if not given:
        raise OptionError("A distiller needs at least one loss, for example 'kd'. Received none.")
    for one in given:
        if not isinstance(one, str | Mapping | DistillationLoss):
            raise OptionError(
                "Losses are names such as 'kd', mappings with a name and fields, or objects of"
                f" tfzip.distillation.losses, one or a list. Received: {type(one).__name__}."
            )
    chosen = [distillation_losses.get(one) for one in given]
    taken: set[str] = set()
    return [
        _term(unique_name(distillation_losses.name_of(loss), taken), loss, weight, teacher, student)
        for loss, weight in zip(chosen, _weights(weights, chosen), strict=True)
    ]


def _weights(weights: Any, losses: Sequence[DistillationLoss]) -> list[float]:
    if weights is None:
        return [loss.weight for loss in losses]
    given = list(weights) if isinstance(weights, list | tuple | np.ndarray) else [weights]
    if len(given) != len(losses):
        raise OptionError(
            f"weights has one number for each of the {len(losses)} losses. Received: {weights!r}."
        )
    for one in given:
        if not is_number(one) or not one >= 0:
            raise OptionError(f"Weights of losses are finite numbers of at least 0. Received: {one!r}.")
    return [float(one) for one in given]


def _term(name: str, loss: DistillationLoss, weight: float, teacher: Side, student: Side) -> Term:
    if isinstance(loss, FeatureLoss):
        if teacher.graph is None or student.graph is None:
            raise OptionError(
                f"Loss {name!r} compares features, and a cache holds outputs alone. Give the distiller the"
                " teacher itself, or take a loss of outputs, such as 'kd'."
            )
        if len(teacher.members) > 1 and isinstance(loss.layers, str) and loss.layers == AUTO:
            raise OptionError(
                f"Loss {name!r} compares features of one model, and the {teacher.whose} has"
                f" {len(teacher.members)}. Name a member's, with a loss for each member:"
                f" layers={{STUDENT: '{teacher.members[0]}/LAYER'}}; or take a loss of outputs."
            )
        pairs = pair_features(teacher.graph, student.graph, loss.layers)
        projectors = []
        for pair in pairs:
            projector = loss.projector(pair.teacher.shape, pair.student.shape)
            if projector is not None:
                projector.build(pair.student.shape)
            projectors.append(projector)
        return Term(name, loss, weight, pairs=tuple(pairs), projectors=tuple(projectors))
    if not isinstance(loss, OutputLoss):
        raise OptionError(f"{type(loss).__name__} compares neither outputs nor features.")
    return Term(name, loss, weight, ends=tuple(_compared(name, loss, teacher, student)))


def _compared(name: str, loss: OutputLoss, teacher: Side, student: Side) -> list[tuple[int, int]]:
    names = [end.name for end in student.ends]
    matched = _matched(teacher, student)
    if loss.output is not None and loss.output not in names:
        raise UnknownNameError("output", loss.output, names)
    chosen = [pair for pair in matched if loss.output in (None, names[pair[1]])]
    for their_index, our_index in chosen:
        theirs, ours = teacher.ends[their_index], student.ends[our_index]
        if theirs.shape[1:] != ours.shape[1:]:
            raise OptionError(
                f"Output {ours.name!r} is {ours.shape[1:]} in the {student.whose} and {theirs.shape[1:]} in"
                f" the {teacher.whose}. A loss of outputs needs equal ones; compare features instead."
            )
        if loss.per_class and (len(ours.shape) < 2 or ours.shape[-1] in (None, 1)):
            raise OptionError(
                f"Loss {name!r} compares classes, and output {ours.name!r} has {ours.shape[-1]}. Use 'mse'."
            )
    return chosen


def _matched(teacher: Side, student: Side) -> list[tuple[int, int]]:
    """Returns pairs of outputs by name where both have the same names, else by position."""
    theirs, ours = ([end.name for end in side.ends] for side in (teacher, student))
    if len(theirs) != len(ours):
        raise OptionError(
            f"The {teacher.whose} has {len(theirs)} outputs, the {student.whose} {len(ours)}."
            " Give both the same ones, or compare features."
        )
    if len(ours) > 1 and set(theirs) == set(ours):
        return [(theirs.index(name), index) for index, name in enumerate(ours)]
    if len(ours) > 1 and any(end.is_key for side in (teacher, student) for end in side.ends):
        raise OptionError(
            f"The {teacher.whose} returns {', '.join(theirs)} and the {student.whose} {', '.join(ours)}. Name"
            " the outputs of both alike, so that it is known which are compared."
        )
    return [(index, index) for index in range(len(ours))]


def _single(features: Any) -> Any:
    return keras.ops.cast(features, "float32")
