"""Which outputs are logits and which are probabilities: said, seen in the graph, or seen in values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfzip.distillation.ends import SIGMOID, SOFTMAX, End, are_probabilities, log_probabilities
from tfzip.distillation.sides import Side
from tfzip.distillation.terms import Term
from tfzip.errors import OptionError

Said = bool | None


def said_of(from_logits: Any) -> tuple[Said, Said]:
    """Returns what is said of the teacher's outputs and of the student's; None is to be found out.

    Raises:
        OptionError: It is none of True, False and None, nor a pair of them.
    """
    pair = tuple(from_logits) if isinstance(from_logits, list | tuple) else (from_logits,) * 2
    if len(pair) != 2 or any(one is not None and not isinstance(one, bool) for one in pair):
        raise OptionError(
            "from_logits is True, False, None to find out, or a pair of these for teacher and student."
            f" Received: {from_logits!r}."
        )
    return pair


def are_logits(ends: Sequence[End], said: Said) -> list[bool]:
    """Returns for each output whether it is taken for logits."""
    return [end.activation != SOFTMAX and said is not False for end in ends]


def as_logits(outputs: Sequence[Any], logits: Sequence[bool]) -> list[Any]:
    """Returns outputs as logits in float32: the logarithm of what are probabilities."""
    return [
        output if is_logits else log_probabilities(output)
        for output, is_logits in zip(outputs, logits, strict=True)
    ]


def check_ends(terms: Sequence[Term], sides: Sequence[Side], said: Sequence[Said]) -> None:
    """Raises `OptionError` where classes are compared and a model ends in what is not said, or a sigmoid."""
    for name, place, index in _compared(terms):
        whose, activation = sides[place].whose, sides[place].ends[index].activation
        if activation == SOFTMAX and said[place]:
            raise OptionError(_probabilities_said(name, whose))
        if activation == SIGMOID:
            raise OptionError(
                f"Loss {name!r} compares classes that exclude each other, and the {whose} ends in a sigmoid,"
                " which tells nothing of that. Use 'mse', or leave the sigmoid out of the model."
            )


def seen(
    terms: Sequence[Term],
    sides: Sequence[Side],
    said: Sequence[Said],
    outputs: Sequence[Sequence[Any] | None],
) -> dict[tuple[int, int], bool]:
    """Returns whether outputs are logits where it was to be found out, by side and output.

    Args:
        terms: The losses; only those that compare classes look.
        sides: Teacher and student.
        said: Of each.
        outputs: Of each, some values in flat order; None where there are none to look at.

    Raises:
        OptionError: Values are not what was said.
    """
    found = {}
    for name, place, index in _compared(terms):
        given = outputs[place]
        if given is None:
            continue
        probable = are_probabilities(given[index])
        if said[place] and probable:
            raise OptionError(_probabilities_said(name, sides[place].whose))
        if said[place] is False and not probable:
            raise OptionError(_logits_said(name, sides[place].whose, np.asarray(given[index], np.float64)))
        if said[place] is None and sides[place].ends[index].activation != SOFTMAX:
            found[place, index] = not probable
    return found


def _compared(terms: Sequence[Term]) -> list[tuple[str, int, int]]:
    """Returns loss, side and output wherever classes are compared."""
    return [
        (term.name, place, pair[place])
        for term in terms
        if term.loss.per_class
        for pair in term.ends
        for place in (0, 1)
    ]


def _probabilities_said(name: str, whose: str) -> str:
    return (
        f"Loss {name!r} compares logits, and the {whose} returns probabilities. Pass from_logits=False, so"
        " that their logarithm is taken, or leave the softmax out of the model. A pair says it of teacher and"
        " student."
    )


def _logits_said(name: str, whose: str, values: Any) -> str:
    return (
        f"Loss {name!r} is told that outputs are probabilities, and the {whose} returns logits, from"
        f" {values.min():.3g} to {values.max():.3g}, in rows that do not add up to 1. Pass from_logits=True,"
        " or a pair for teacher and student."
    )
