"""The compiled steps of a running `fit`: compiling them anew, noticing when one fails or outlives its fit.

Several callbacks may need both in the same fit, so what one of them watches survives another's recompiling.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import keras
import tensorflow as tf


def subject_of(fitted: keras.Model) -> keras.Model:
    """Returns what a fit trains for a file: the student where a model holds a teacher and a student."""
    student = getattr(fitted, "student", None)
    return student if isinstance(student, keras.Model) and hasattr(fitted, "teacher") else fitted


def _running_fit(model: keras.Model, frame: FrameType | None) -> Any:
    """Returns what identifies the `fit` of a model in a stack, or `None`."""
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return frame.f_locals.get("callbacks")
        frame = frame.f_back
    return None


class Fit:
    """The `fit` that is running when this is made.

    Keras tells callbacks nothing when a fit is interrupted between two steps.

    Args:
        model: The model in it.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._token = _running_fit(model, sys._getframe(1))  # noqa: SLF001

    @property
    def is_over(self) -> bool:
        """Whether it runs no longer, in any thread: strategies run steps in threads of their own."""
        if self._token is None or _running_fit(self._model, sys._getframe(1)) is self._token:  # noqa: SLF001
            return False
        frames = sys._current_frames().values()  # noqa: SLF001
        return all(_running_fit(self._model, frame) is not self._token for frame in frames)


_WATCH = "_tfzip_watch"


class _Watch:
    """Those who want to know when a fit fails or is over.

    Args:
        model: The model in `fit`.
    """

    def __init__(self, model: keras.Model) -> None:
        self.fit = Fit(model)
        self.handlers: list[Callable[[], None]] = []

    def tell(self) -> None:
        """Tells them, once."""
        handlers, self.handlers = self.handlers, []
        for handler in handlers:
            handler()


class _WatchedStep:
    """A step that tells those who asked for it when it fails or is called after its fit."""

    def __init__(self, model: keras.Model, kind: str, watch: _Watch) -> None:
        self.step = getattr(model, f"{kind}_function")
        self._model, self._kind, self._watch = model, kind, watch

    def __call__(self, iterator: Any) -> Any:
        if self._watch.fit.is_over:
            self._watch.tell()
            getattr(self._model, f"make_{self._kind}_function")(force=True)
            return getattr(self._model, f"{self._kind}_function")(iterator)
        try:
            return self.step(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):  # the end of the data
            raise
        except BaseException:  # also an interrupt key
            if self._kind != "predict":  # which a callback may have called, and may go on without
                self._watch.tell()
            raise


def settle(model: keras.Model) -> None:
    """Tells those who watch a fit of a model that has ended without a word; to be called as a fit begins."""
    watch = vars(model).get(_WATCH)
    if watch is not None and watch.fit.is_over:
        watch.tell()


def recompile(model: keras.Model, *, on_error: Callable[[], None] | None = None) -> None:
    """Compiles all steps anew.

    Most interruptions (an interrupt key, exhausted memory, bad data) come up inside a step; others are
    noticed when a step is used after them, or when the next fit settles what an earlier one left.

    Args:
        model: A model in `fit`.
        on_error: Called when a step of this fit fails, or is used after it. Defaults to None.
    """
    watch = vars(model).get(_WATCH)
    if watch is None or watch.fit.is_over:
        watch = vars(model)[_WATCH] = _Watch(model)
    if on_error is not None:
        watch.handlers.append(on_error)
    for kind in ("train", "test", "predict"):
        getattr(model, f"make_{kind}_function")(force=True)
        setattr(model, f"{kind}_function", _WatchedStep(model, kind, watch))


def forget_steps(model: keras.Model) -> None:
    """Lets the next fit, evaluate and predict compile their steps."""
    model.train_function = model.test_function = model.predict_function = None
