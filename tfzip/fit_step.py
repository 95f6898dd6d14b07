"""The compiled steps of a running `fit`: compiling them anew, and noticing when one fails.

Several callbacks may need both in the same fit, so what one of them watches survives another's recompiling.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class _WatchedStep:
    """A train step that tells those who asked for it when it fails."""

    def __init__(self, step: Callable[[Any], Any], handlers: list[Callable[[], None]]) -> None:
        self.step = step
        self.handlers = handlers

    def __call__(self, iterator: Any) -> Any:
        try:
            return self.step(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):  # the end of the data
            raise
        except BaseException:  # also an interrupt key
            for handler in self.handlers:
                handler()
            raise


def recompile(model: keras.Model, *, on_error: Callable[[], None] | None = None) -> None:
    """Compiles the train step anew, and the steps of evaluate and predict when they are next used.

    Keras tells callbacks nothing when a fit is interrupted; most interruptions (an interrupt key, exhausted
    memory, bad data) come up inside the step.

    Args:
        model: A model in `fit`.
        on_error: Called when a train step of this fit fails. Defaults to None.
    """
    old = model.train_function
    handlers = old.handlers if isinstance(old, _WatchedStep) else []
    if on_error is not None:
        handlers.append(on_error)
    model.make_train_function(force=True)
    model.train_function = _WatchedStep(model.train_function, handlers)
    model.test_function = model.predict_function = None


def forget_steps(model: keras.Model) -> None:
    """Lets the next fit, evaluate and predict compile their steps."""
    model.train_function = model.test_function = model.predict_function = None
