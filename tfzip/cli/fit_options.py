"""Options of the commands that train."""

from collections.abc import Callable
from typing import Any, get_args

import click

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
)


def fit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how a model is trained."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
