"""What a fit with a cached teacher must not do, checked before its first step."""

from collections.abc import Mapping
from types import GeneratorType
from typing import Any

import keras

from tfzip.distillation.cached_teacher import CachedTeacher, split
from tfzip.errors import OptionError


def check_cached_fit(cached: CachedTeacher, x: Any, inputs: Any, given: Mapping[str, Any]) -> None:
    """Raises `OptionError` for a fit without answers, for longer than there are any, or that saves the whole.

    Args:
        cached: The teacher.
        x: What is fitted on.
        inputs: Its first few samples, or None.
        given: Arguments of the fit.
    """
    for callback in _listed(given.get("callbacks")):
        if isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_weights_only:
            raise OptionError(
                "A distiller whose teacher is cached cannot be saved, so ModelCheckpoint needs"
                " save_weights_only=True."
            )
    if inputs is not None and split(inputs)[1] is None:
        raise OptionError(without_answers())
    if isinstance(x, GeneratorType) and x.gi_code is CachedTeacher.batches.__code__:
        _check_length(cached, x, given)


def without_answers() -> str:
    """Returns what is wrong with samples that have no answers, with the remedy."""
    return (
        "The teacher is cached, and these samples come without its answers. Fit on cached.batches(), with"
        " steps_per_epoch=cached.steps."
    )


def _check_length(cached: CachedTeacher, x: Any, given: Mapping[str, Any]) -> None:
    first = x.gi_frame.f_locals.get("first_epoch", 0) if x.gi_frame is not None else 0
    epochs = given.get("epochs", 1) - given.get("initial_epoch", 0)
    steps = given.get("steps_per_epoch")
    there = (cached.epochs - first) * cached.steps
    if epochs > 1 if steps is None else epochs * steps > there:
        raise OptionError(
            f"The cache has answers for {cached.epochs - first} epochs of {cached.steps} steps, and the fit"
            f" takes {epochs} of {steps or 'all'}. Pass steps_per_epoch=cached.steps, or make more with"
            " cache_teacher(..., epochs=...)."
        )


def _listed(callbacks: Any) -> list[Any]:
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or [])
