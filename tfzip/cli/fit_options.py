"""Options of the commands that train."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import click

from tfzip.errors import OptionError, TfzipError
from tfzip.recipe.steps.train import LOSSES

_OPTIONS = (
    click.option("--batch-size", type=int, default=64, show_default=True, help="Rows per update."),
    click.option("--learning-rate", type=float, default=0.001, show_default=True, help="Rate at the start."),
    click.option(
        "--loss",
        type=click.Choice(get_args(LOSSES)),
        default="sparse_categorical_crossentropy",
        show_default=True,
        help="What is trained for.",
    ),
    click.option("--from-logits", is_flag=True, help="The model ends without softmax or sigmoid."),
    click.option(
        "--distill-weight",
        "distill_weights",
        type=float,
        multiple=True,
        help="Weight of each --distill, in their order.  [default: those of the papers]",
    ),
)
_AS_OPTIONS = (
    ("Set from_logits = true", "Pass --from-logits"),
    ("Pass from_logits=True, or a pair for teacher and student", "Pass --from-logits"),
    ("Pass from_logits=False", "Leave out --from-logits"),
    (" A pair says it of teacher and student.", ""),
    ("distill_weights has a number", "Pass --distill-weight once"),
)


def fit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how a model is trained."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def losses_of(
    context: click.Context,  # noqa: ARG001 (click's signature)
    option: click.Parameter,  # noqa: ARG001
    texts: tuple[str, ...],
) -> tuple[Any, ...]:
    """Returns losses from `kd` or `kd:temperature=2,output=head`.

    Raises:
        OptionError: A field has no value, or is none of its loss.
    """
    from tfzip.distillation.losses import distillation_losses

    found = []
    for text in texts:
        name, _, rest = text.partition(":")
        fields = {}
        for part in rest.split(",") if rest else ():
            key, is_said, value = part.partition("=")
            if not is_said:
                raise OptionError(
                    f"--distill takes a loss and fields, such as kd:temperature=2. Received: {text!r}."
                )
            fields[key.strip()] = _value(value)
        found.append(distillation_losses.get({"name": name, **fields}))
    return tuple(found)


@contextmanager
def in_words_of_options() -> Iterator[None]:
    """Lets errors name the options of a command where they name arguments."""
    try:
        yield
    except TfzipError as error:
        if error.args and isinstance(error.args[0], str):
            text = error.args[0]
            for argument, option in _AS_OPTIONS:
                text = text.replace(argument, option)
            error.args = (text, *error.args[1:])
        raise


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
