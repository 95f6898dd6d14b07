"""A student that is its own teacher, a little behind."""

from typing import Any

import keras

from tfzip.errors import ModelError, OptionError
from tfzip.fit_step import subject_of
from tfzip.given import is_number


class EmaTeacherCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Moves a distiller's teacher after its student: an exponential moving average of the student's weights.

    Tarvainen, Valpola, "Mean teachers are better role models", NeurIPS 2017, equation 1, after each batch:

        teacher = momentum * teacher + (1 - momentum) * student

    Args:
        momentum: How much of the teacher stays at each batch. Defaults to 0.999.

    Raises:
        OptionError: momentum is not between 0 and 1.

    Example:
        >>> teacher = keras.models.clone_model(student)
        >>> teacher.set_weights(student.get_weights())
        >>> distiller = tfzip.Distiller(teacher, student, "mse")
        >>> distiller.fit(x, y, callbacks=[tfzip.EmaTeacherCallback(0.99)])
    """

    def __init__(self, momentum: float = 0.999) -> None:
        super().__init__()
        if not is_number(momentum) or not 0.0 <= momentum < 1.0:
            raise OptionError(f"momentum is at least 0 and below 1. Received: {momentum!r}.")
        self.momentum = float(momentum)

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Checks that teacher and student have the same weights.

        Raises:
            ModelError: They have not, or it is no distiller that is fitted.
        """
        teacher: Any = getattr(self.model, "teacher", None)
        student = subject_of(self.model)
        shapes = [
            [tuple(weight.shape) for weight in one.weights] if isinstance(one, keras.Model) else None
            for one in (teacher, student)
        ]
        if student is self.model or shapes[0] != shapes[1]:
            raise ModelError(
                "EmaTeacherCallback needs a Distiller whose teacher has the student's weights: make it with"
                " keras.models.clone_model(student)."
            )
        self._pairs = [
            (own, other)
            for own, other in zip(teacher.weights, student.weights, strict=True)
            if own.dtype.startswith(("float", "bfloat"))
        ]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Moves the teacher by what one batch has changed; with several steps at a time, by their sum."""
        for own, other in self._pairs:
            own.assign(own + (1.0 - self.momentum) * (other - own))
