"""Distillation that comes in slowly."""

from typing import Any

import keras

from tfzip.errors import ModelError, OptionError
from tfzip.given import is_number, is_whole


class DistillationWarmUp(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Raises the weight of a distiller's losses, and the temperature, in a line to what was asked for.

    DKD starts its weight from 0 (Zhao et al., CVPR 2022); a temperature that rises makes an easy start
    (Li et al., "Curriculum Temperature", AAAI 2023, which learns it instead).

    Args:
        epochs: In so many epochs, counted from 0; the weight of epoch `epochs` is the full one.
        weight: Share of the weight in the first epoch. Defaults to 0.0.
        temperature: Share of the temperature in the first epoch, above 0. Defaults to 1.0: it does not move.

    Raises:
        OptionError: A number is out of range.
    """

    def __init__(self, epochs: int, *, weight: float = 0.0, temperature: float = 1.0) -> None:
        super().__init__()
        if not is_whole(epochs, 1):
            raise OptionError(f"epochs is a whole number of at least 1. Received: {epochs!r}.")
        numbers = is_number(weight) and is_number(temperature)
        if not numbers or not 0.0 <= weight <= 1.0 or not 0.0 < temperature <= 1.0:
            raise OptionError(
                "weight and temperature are shares of what they become, at most 1, the temperature above 0."
                f" Received: {weight!r}, {temperature!r}."
            )
        self.epochs, self.weight, self.temperature = epochs, weight, temperature

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Sets both shares.

        Raises:
            ModelError: It is no `Distiller` that is fitted.
        """
        if not hasattr(self.model, "set_shares"):
            raise ModelError("DistillationWarmUp needs a tfzip.Distiller. Pass it to the fit of one.")
        done = min(epoch / self.epochs, 1.0)
        self.model.set_shares(
            weight=self.weight + (1 - self.weight) * done,
            temperature=self.temperature + (1 - self.temperature) * done,
        )

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Gives both their full size."""
        self.model.set_shares(weight=1.0, temperature=1.0)
