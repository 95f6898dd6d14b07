"""Quantization-aware training in `fit`."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfzip.errors import ModelError, OptionError
from tfzip.fit_step import settle, subject_of
from tfzip.graph.walk import check_built
from tfzip.quantization.observers import Observer, observers
from tfzip.quantization.simulated_fit import SimulatedFit
from tfzip.quantization_record import make_room_for_record
from tfzip.schemes import Scheme, get_scheme


class QuantizationCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Lets a model feel, while it trains, the rounding that its file will do.

    From its start epoch on, the model's forward pass in training, validation and prediction computes what
    the exported file will compute: batch normalization folded into the kernels, activations fused, every
    tensor that LiteRT stores rounded to its grid. Gradients pass straight through the rounding. Layers,
    configuration and trained variables of the model stay as they are; after `fit` the model computes in float
    again and carries the grids, which `export` uses and `quantize` simulates.

    Ranges of activations are chosen by an observer on the first batches, and again at growing distances and
    at each epoch's begin, until they are frozen: on values as a train step sees them, in the end as the file
    sees them. Batch normalization first learns from the batch as in any training; once frozen, it is exactly
    the multiplication that the file has.

    The state is in the model: a checkpoint written while training, `.keras` or weights alone, holds the
    grids, and a fit that `keras.callbacks.BackupAndRestore` resumes goes on with them.

    Args:
        scheme: What the file will be: a name or a `Scheme`. Defaults to "int8".
        observer: How a range is chosen from what was seen: an `Observer`, its name or a mapping with `name`
            and fields. Defaults to "percentile".
        start: Epoch from whose begin the forward pass is simulated. Defaults to 0.
        freeze_ranges: Epoch at whose begin ranges are chosen for the last time. Defaults to the last third of
            the fit.
        freeze_statistics: Epoch from whose begin batch normalization uses its running statistics and no
            longer changes them. 0 suits the fine-tuning of a trained model. Defaults to the last third of
            the fit.
        calibration: Inputs to choose the first ranges on, as for `export`. Defaults to None: the first
            batches of the fit, which are trained without rounding.
        batches: How many batches of the fit are kept for choosing ranges; not more than a quarter of an
            epoch. Defaults to 8.
        learned_steps: Whether ranges, once chosen, and the steps of kernels are learned by gradients until
            `freeze_ranges` (LSQ, Esser et al. 2020), instead of chosen again by the observer. Defaults to
            False.

    Raises:
        OptionError: An argument is out of range.
        UnknownNameError: A name is not registered.

    Example:
        >>> model.fit(train, epochs=3, callbacks=[tfzip.QuantizationCallback("int8")])
        >>> tfzip.export(model, "model.tflite")
    """

    def __init__(
        self,
        scheme: str | Scheme = "int8",
        observer: Observer | str | Mapping[str, Any] = "percentile",
        *,
        start: int = 0,
        freeze_ranges: int | None = None,
        freeze_statistics: int | None = None,
        calibration: Any = None,
        batches: int = 8,
        learned_steps: bool = False,
    ) -> None:
        super().__init__()
        self.scheme = get_scheme(scheme)
        if self.scheme.weights.kind != "int":
            raise OptionError(
                f"Scheme {self.scheme.name!r} rounds nothing while training. Export with it directly, or"
                " train for 'int8', 'w4a8', 'int4_weights' or another integer scheme."
            )
        epochs = {"start": start, "freeze_ranges": freeze_ranges, "freeze_statistics": freeze_statistics}
        for name, value in epochs.items():
            if value is not None and not _is_whole(value, 0):
                raise OptionError(f"{name} counts epochs from 0. Received: {value!r}.")
        if not _is_whole(batches, 1):
            raise OptionError(f"batches must be a whole number of at least 1. Received: {batches!r}.")
        self.observer: Observer = observers.get(observer)
        self.start = start
        self.freeze_ranges = freeze_ranges
        self.freeze_statistics = freeze_statistics
        self.calibration = calibration
        self.batches = batches
        self.learned_steps = learned_steps

    def set_model(self, model: keras.Model) -> None:
        """Makes room in the model for the grids before any callback restores a checkpoint."""
        super().set_model(model)
        check_built(subject_of(model))
        make_room_for_record(subject_of(model))

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Plans the phases; nothing is simulated yet."""
        if keras.config.backend() != "tensorflow":
            raise ModelError(
                f"QuantizationCallback needs Keras on TensorFlow. Received: {keras.config.backend()!r}."
                " Set KERAS_BACKEND=tensorflow."
            )
        settle(self.model)
        if self.start >= self.params["epochs"]:
            raise OptionError(
                f"start={self.start} is after the last epoch of this fit, {self.params['epochs'] - 1}:"
                " nothing would be simulated. Epochs count from 0."
            )
        late = self.params["epochs"] - self.params["epochs"] // 3
        self._range_epoch = late if self.freeze_ranges is None else self.freeze_ranges
        self._statistics_epoch = late if self.freeze_statistics is None else self.freeze_statistics
        self._simulated: SimulatedFit | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Goes to the phase of this epoch."""
        if epoch < self.start:
            return
        self._ranges_move = epoch < self._range_epoch
        statistics_move = epoch < self._statistics_epoch
        if self._simulated is None:
            self._simulated = self._begin(statistics_move)
            return
        self._simulated.set_phase(ranges_move=self._ranges_move, statistics_move=statistics_move)
        if epoch <= self._range_epoch:
            self._simulated.calibrate(self.observer)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Keeps the first batches and chooses ranges on them."""
        if self._simulated is None:
            return
        self._trained += 1
        if self._trained == 1:
            self._simulated.check_runs()
        if not self._simulated.is_calibrated:
            if self._simulated.keep_batch() == self._wanted_batches():
                self._simulated.calibrate(self.observer)
        elif self._ranges_move and self._trained & (self._trained - 1) == 0:  # at powers of two
            self._simulated.calibrate(self.observer)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Chooses ranges, if the epoch was too short for it."""
        if self._simulated is not None and not self._simulated.is_calibrated:
            self._simulated.calibrate(self.observer)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Gives the model its float forward pass back, and the grids."""
        if self._simulated is not None:
            if self._ranges_move:
                self._simulated.set_phase(ranges_move=False, statistics_move=False)
                self._simulated.calibrate(self.observer)
            self._simulated.finish(self.observer)

    def _begin(self, statistics_move: bool) -> SimulatedFit:
        self._trained = 0
        simulated = SimulatedFit(self.model, self.scheme, learned_steps=self.learned_steps)
        simulated.set_phase(ranges_move=self._ranges_move, statistics_move=statistics_move)
        if self.calibration is not None:
            simulated.give_batches(self.calibration)
            if not simulated.is_calibrated:
                simulated.calibrate(self.observer)
        if not simulated.is_calibrated:
            simulated.keep_batches()
        return simulated

    def _wanted_batches(self) -> int:
        """Returns how many batches to keep: not more than a quarter of a short epoch."""
        steps = self.params["steps"]
        return self.batches if steps is None else min(self.batches, max(1, steps // 4))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)
