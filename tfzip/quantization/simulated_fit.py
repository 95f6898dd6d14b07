"""A model in `fit` whose forward pass is simulated: entering, choosing grids on its batches, and leaving."""

import warnings
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzip.errors import ConversionError, ModelError, TfzipError
from tfzip.fit_step import Fit, forget_steps, recompile, subject_of
from tfzip.graph.keras_nodes import replace_call
from tfzip.graph.signature import input_tree
from tfzip.quantization.observers import Observer
from tfzip.quantization.quantizer import Quantizer, in_batches
from tfzip.quantization_record import QuantizationRecord, attach_record, attach_source, record_of
from tfzip.sandbox import resolve
from tfzip.schemes import Scheme
from tfzip.sources.batches import calibration_samples

_INNER = "tfzip.conversion.inner:inner_ranges"  # conversion is above this package
_INNER_SAMPLES = 64


def _quantizer(model: keras.Model, scheme: Scheme, known: QuantizationRecord | None) -> Quantizer:
    """Returns the quantizer of a model, without the grids it carries if they are those of another."""
    try:
        return Quantizer(model, scheme, known)
    except ModelError as error:
        if known is None:
            raise
        warnings.warn(f"{error} Ranges are chosen anew.", stacklevel=2)
        return Quantizer(model, scheme)


class SimulatedFit:
    """Replaces a model's forward pass, from the construction to `leave` or the end of the fit.

    Without grids from before, the forward pass stays in float until the first `calibrate`.

    Args:
        fitted: A model in `fit`, or a distiller, whose student is simulated.
        scheme: What to simulate.
        learned_steps: Whether the steps of grids are learned while ranges move.
    """

    def __init__(self, fitted: keras.Model, scheme: Scheme, *, learned_steps: bool) -> None:
        self._fitted = fitted
        self._model = model = subject_of(fitted)
        record = record_of(model)
        known = record if record is not None and record.scheme == scheme and record.ranges else None
        with fitted.distribute_strategy.scope():
            self._quantizer = _quantizer(model, scheme, known)
        self._inputs = keras.tree.flatten(input_tree(model))
        self._float_call, self._with_training = model.call, model._call_has_training_arg  # noqa: SLF001
        self._batches: list[Any] = []
        self._latest: list[tf.Variable] = []
        self._runs = self._has_left = False
        self._jit_compile = fitted.jit_compile
        self._learned_steps = learned_steps
        self._ranges_move = self._statistics_move = False
        self._fit = Fit(fitted)
        self._undo = replace_call(model, self._forward)
        attach_source(model, self._record)
        recompile(fitted, on_error=self.leave)

    def keep_batches(self) -> None:
        """Lets train steps leave their inputs behind, for `keep_batch`."""
        self._latest = self._room_for_inputs()
        self._fitted.jit_compile = False  # XLA has no variables whose shape changes with the batch
        recompile(self._fitted)

    @property
    def is_calibrated(self) -> bool:
        """Whether the forward pass is simulated."""
        return self._quantizer.is_calibrated

    def set_phase(self, *, ranges_move: bool, statistics_move: bool) -> None:
        """Says whether grids still move, and whether batch normalization learns from the batches."""
        before = (self._statistics_move, self._learns)
        self._ranges_move, self._statistics_move = ranges_move, statistics_move
        self._set_learning()
        if before != (self._statistics_move, self._learns):
            recompile(self._fitted)

    def give_batches(self, data: Any) -> None:
        """Takes inputs to choose ranges on, in place of batches of the fit."""
        try:
            self._batches = list(in_batches(calibration_samples(data, self._inputs, varied=True)))
        except TfzipError:
            self.leave()
            raise

    def check_runs(self) -> None:
        """Raises `ModelError` if the train steps so far have not run the model in training."""
        if not self._runs:
            self.leave()
            raise ModelError(
                f"The train_step of model {self._fitted.name!r} does not call the model in training, so that"
                " nothing would be simulated. Let it call self(x, training=True)."
            )

    def keep_batch(self) -> int:
        """Keeps what the last train step read; returns how many batches are kept."""
        self._batches.append([np.asarray(variable.read_value()) for variable in self._latest])
        return len(self._batches)

    def calibrate(self, observer: Observer) -> None:
        """Chooses ranges on the batches kept, as a train step sees them; simulates from then on."""
        was_simulated = self.is_calibrated
        if not self._batches or (was_simulated and self._learned_steps):
            return
        try:
            with self._fitted.distribute_strategy.scope():
                self._quantizer.calibrate(self._batches, observer, batch_statistics=self._statistics_move)
        except TfzipError:
            self.leave()
            raise
        if not was_simulated:
            self._latest = []
            self._fitted.jit_compile = self._jit_compile
            self._set_learning()
            recompile(self._fitted)

    def leave(self) -> None:
        """Gives the model its float forward pass back, and the grids as they are now; once."""
        if not self._has_left:
            self._give_back()
            forget_steps(self._fitted)
            forget_steps(self._model)

    def _give_back(self) -> None:
        self._has_left = True
        with tf.init_scope():  # also where a graph is being traced
            attach_record(self._model, record_of(self._model))
        self._undo()
        self._fitted.jit_compile = self._jit_compile

    def _record(self) -> QuantizationRecord | None:
        return self._quantizer.record() if self.is_calibrated else None

    def finish(self, observer: Observer) -> None:
        """Leaves, and finds ranges for what the simulation ran whole, so that export needs no data."""
        self.leave()
        record = record_of(self._model)
        if record is None or not self._quantizer.simulation.whole or not self._batches:
            return
        if record.scheme.activations.kind != "int":
            return
        columns = zip(*self._batches, strict=True)
        samples = {
            spec.name: np.concatenate(list(arrays))[:_INNER_SAMPLES]
            for spec, arrays in zip(self._inputs, columns, strict=True)
        }
        try:
            inner = resolve(_INNER)(self._model, record, samples, observer)
        except ConversionError as error:
            warnings.warn(f"Exporting this model will need calibration data. {error}", stacklevel=2)
            return
        attach_record(self._model, replace(record, inner=inner))

    @property
    def _learns(self) -> bool:
        return self._learned_steps and self._ranges_move and self.is_calibrated

    def _set_learning(self) -> None:
        with self._fitted.distribute_strategy.scope():
            self._quantizer.learn_steps(learn=self._learns)

    def _forward(self, inputs: Any, training: bool | None = None, **others: Any) -> Any:
        is_over = self._fit.is_over
        self._runs = self._runs or bool(training)
        if is_over and not self._has_left:
            self._give_back()
        if training and self._latest and not is_over:
            tensors = self._quantizer.simulation.in_order(inputs)
            for variable, tensor in zip(self._latest, tensors, strict=True):
                variable.assign(tf.cast(tensor, variable.dtype))
        if self.is_calibrated and not is_over:
            learns = bool(training) and self._statistics_move
            return self._quantizer(inputs, training=bool(training), batch_statistics=learns)
        if self._with_training:
            others["training"] = training
        return self._float_call(inputs, **others)

    def _room_for_inputs(self) -> list[tf.Variable]:
        """Returns variables that hold the inputs of a train step; with several replicas, of the first."""
        with self._fitted.distribute_strategy.scope():
            return [
                tf.Variable(
                    tf.zeros([1, *(max(size, 1) for size in one.shape[1:])], one.dtype),
                    shape=[None] * len(one.shape),
                    trainable=False,
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )
                for one in self._inputs
            ]
