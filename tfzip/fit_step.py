"""The compiled steps of a running `fit`: compiling them anew, noticing when one fails or outlives its fit.

Several callbacks may need both in the same fit, so what one of them watches survives another's recompiling.
"""

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import keras
import tensorflow as tf


def running_fit(model: keras.Model) -> Any:
    """Returns what identifies the `fit` of a model that this code runs in, or `None` if it runs in none.

    Keras tells callbacks nothing when a fit is interrupted between two steps.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return frame.f_locals.get("callbacks")
        frame = frame.f_back
    return None


class Fit:
    """The `fit` that is running when this is made.

    Args:
        model: The model in it.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._token = running_fit(model)
        self._thread = threading.get_ident()

    @property
    def is_over(self) -> bool:
        """Whether this code runs outside of it; threads that a strategy starts are inside."""
        if self._token is None or threading.get_ident() != self._thread:
            return False
        return running_fit(self._model) is not self._token


class _WatchedStep:
    """A step that tells those who asked for it when it fails or is called after its fit."""

    def __init__(self, model: keras.Model, kind: str, handlers: list[Callable[[], None]]) -> None:
        self.step = getattr(model, f"{kind}_function")
        self.handlers = handlers
        self._model, self._kind, self._fit = model, kind, Fit(model)

    def __call__(self, iterator: Any) -> Any:
        if self._fit.is_over:
            self._tell()
            getattr(self._model, f"make_{self._kind}_function")(force=True)
            return getattr(self._model, f"{self._kind}_function")(iterator)
        try:
            return self.step(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):  # the end of the data
            raise
        except BaseException:  # also an interrupt key
            self._tell()
            raise

    def _tell(self) -> None:
        for handler in self.handlers:
            handler()


def recompile(model: keras.Model, *, on_error: Callable[[], None] | None = None) -> None:
    """Compiles the train and test step anew, and the step of predict when it is next used.

    Most interruptions (an interrupt key, exhausted memory, bad data) come up inside a step; others are
    noticed when a step is used after them.

    Args:
        model: A model in `fit`.
        on_error: Called when a step of this fit fails, or is used after it. Defaults to None.
    """
    old = model.train_function
    handlers = old.handlers if isinstance(old, _WatchedStep) else []
    if on_error is not None:
        handlers.append(on_error)
    for kind in ("train", "test"):
        getattr(model, f"make_{kind}_function")(force=True)
        setattr(model, f"{kind}_function", _WatchedStep(model, kind, handlers))
    model.predict_function = None


def forget_steps(model: keras.Model) -> None:
    """Lets the next fit, evaluate and predict compile their steps."""
    model.train_function = model.test_function = model.predict_function = None
