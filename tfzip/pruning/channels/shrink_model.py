"""A smaller model of the same kind, to be a student."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby

import keras
import numpy as np

from tfzip.errors import ModelError, OptionError
from tfzip.given import is_number
from tfzip.graph.flatten import flatten
from tfzip.graph.rebuild import rebuild
from tfzip.graph.residual import ResidualBlock, residual_blocks, without_blocks
from tfzip.pruning.channels.remove import remove_channels


def shrink(
    model: keras.Model, width: float = 1.0, depth: float = 1.0, *, inherit: bool = True, seed: int = 0
) -> keras.Model:
    """Returns a narrower and shallower model of the same kind, a student for the model as its teacher.

    Depth goes first: of the residual blocks of one shape that come one after the other and could be left out
    (all but those that change the shape), the given share stays, evenly spaced. Then every group of channels
    keeps the given share of its channels, those with the largest weights (`l1`).

    Args:
        model: A built model; it is left as it was.
        width: Share of channels that stays, above 0. Defaults to 1.0.
        depth: Share of residual blocks that stays, at least 0. Defaults to 1.0.
        inherit: Whether what stays keeps its weights; otherwise all are drawn anew. Defaults to True.
        seed: Of weights that are drawn. Defaults to 0.

    Returns:
        A flat Functional model of plain Keras layers. It is not compiled.

    Raises:
        OptionError: A share is out of range, or both are 1.
        ModelError: The model has no residual block that could go, or cannot be flattened.

    Example:
        >>> student = tfzip.shrink(teacher, width=0.5, depth=0.5)
        >>> distiller = tfzip.Distiller(teacher, student, ["kd", "hint"])
    """
    numbers = is_number(width) and is_number(depth)
    if not numbers or not 0.0 < width <= 1.0 or not 0.0 <= depth <= 1.0 or width == depth == 1.0:
        raise OptionError(
            "width is above 0, depth at least 0, both at most 1 and one of them less. Received: width"
            f" {width!r}, depth {depth!r}."
        )
    small = model
    if depth < 1.0:
        small = _shallower(small, depth)
    if width < 1.0:
        small = remove_channels(small, 1.0 - width, criterion="l1")
    if not inherit:
        with _drawing(seed):
            small = keras.models.clone_model(small)
    return small


@contextmanager
def _drawing(seed: int) -> Iterator[None]:
    """Lets Keras draw weights from a seed inside, and leaves the caller's generators where they were."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 (Keras' own)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _shallower(model: keras.Model, depth: float) -> keras.Model:
    graph = flatten(model)
    blocks = residual_blocks(graph)
    if not blocks:
        raise ModelError(
            f"Model {model.name!r} has no residual block that keeps its shape, so it cannot be made"
            " shallower. Use width alone."
        )
    return rebuild(without_blocks(graph, list(_leaving(blocks, depth))))


def _leaving(blocks: Iterable[ResidualBlock], depth: float) -> Iterator[ResidualBlock]:
    """Yields the blocks that go, from each run of blocks of one shape."""
    for _, run in groupby(blocks, key=lambda block: block.shape):
        stage = list(run)
        count = round(depth * len(stage))
        staying = set(np.linspace(0, len(stage) - 1, count).round().astype(int).tolist()) if count else set()
        yield from (block for index, block in enumerate(stage) if index not in staying)
