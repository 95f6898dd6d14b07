"""Teacher and student as a distiller sees them, and whether they can work together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfzip.distillation.cached_teacher import CachedTeacher
from tfzip.distillation.ends import End, ends_of
from tfzip.distillation.ensemble import Member
from tfzip.errors import OptionError
from tfzip.graph.flat_graph import FlatGraph
from tfzip.graph.flatten import flatten
from tfzip.graph.walk import check_built, layer_paths

_MOST_NAMES = 5


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        whose: What errors call it.
        graph: Its flat graph; None of a teacher of which only the answers are left.
        ends: Its outputs.
        members: Paths of the models that an ensemble is made of.
    """

    whose: str
    graph: FlatGraph | None
    ends: Sequence[End]
    members: tuple[str, ...] = ()


def sides_of(teacher: Any, student: Any) -> tuple[Side, Side]:
    """Returns both sides.

    Raises:
        OptionError: One is no model, both are the same, share what is trained, or take other inputs.
        ModelError: One is not built.
    """
    sides = _side(teacher, "teacher"), _side(student, "student")
    if not isinstance(teacher, CachedTeacher):
        _check_apart(teacher, student)
    _check_inputs(*sides)
    return sides


def _side(model: Any, role: str) -> Side:
    if isinstance(model, CachedTeacher) and role == "teacher":
        return Side(f"teacher in {model.folder}", None, model.ends)
    if not isinstance(model, keras.Model):
        raise OptionError(f"The {role} is a keras.Model. Received: {type(model).__name__}.")
    check_built(model)
    graph = flatten(model)
    members = tuple(path for path, layer in layer_paths(model) if isinstance(layer, Member))
    return Side(f"{role} {model.name!r}", graph, ends_of(model, graph), members)


def _check_apart(teacher: keras.Model, student: keras.Model) -> None:
    if teacher is student:
        raise OptionError(
            "Teacher and student are the same model, so nothing would be trained. Give the student a copy as"
            " its teacher: keras.models.clone_model(student), and set_weights."
        )
    theirs = {id(variable) for variable in teacher.variables}
    shared = [variable.path for variable in student.trainable_variables if id(variable) in theirs]
    if shared:
        more = f" and {len(shared) - _MOST_NAMES} more" if len(shared) > _MOST_NAMES else ""
        raise OptionError(
            f"Teacher and student share {', '.join(shared[:_MOST_NAMES])}{more}, and a teacher is not"
            " trained. Give the student layers of its own, or freeze those that it shares."
        )


def _check_inputs(teacher: Side, student: Side) -> None:
    if teacher.graph is None or student.graph is None:
        return
    shapes = [
        [graph.tensors[index].shape[1:] for index in graph.input_ids()]
        for graph in (teacher.graph, student.graph)
    ]
    fits = len(shapes[0]) == len(shapes[1]) and all(
        len(one) == len(other)
        and all(None in pair or len(set(pair)) == 1 for pair in zip(one, other, strict=True))
        for one, other in zip(*shapes, strict=True)
    )
    if not fits:
        raise OptionError(
            f"The {teacher.whose} takes inputs of {shapes[0]} and the {student.whose} of {shapes[1]}. Both"
            " get the same batch; put a Resizing layer, say, in front of one of them."
        )
