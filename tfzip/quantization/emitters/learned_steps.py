"""Lets the steps of grids be learned with the weights.

Gradients of steps are those of Esser et al. 2020, "Learned Step Size Quantization", equation 3, for grids
with a zero point that stays. Steps learn as logarithms, normalized by Adam, which makes their progress
independent of the scale of a tensor and of the loss (Jain et al. 2020, "Trained Quantization Thresholds",
section 4).

The model's own optimizer knows nothing of the grids, and may have been built before there were any: the
backward pass itself moves them.
"""

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfzip.quantization.emitters import joined
from tfzip.quantization.emitters.fake_quantize import FakeQuantize
from tfzip.quantization.weighted import WeightGroup
from tfzip.schemes import Range

RATE = 0.001
_FIRST_MOMENT, _SECOND_MOMENT, _EPSILON = 0.9, 0.999, 1e-30


class StepOptimizer:
    """Moves the grids of a simulation along the gradients of their logarithmic steps.

    Args:
        grids: The simulation's grids; their ranges and clipping are moved in place.
        groups: The kernels whose steps learn. Each gets a variable in `grids.clipping`.
    """

    def __init__(self, grids: FakeQuantize, groups: Sequence[WeightGroup]) -> None:
        self.grids = grids
        self._shares: dict[str, keras.Variable] = {}
        self.places = {key: slice(row, row + 1) for key, row in grids.rows.items()}
        self.size = len(grids.rows)
        for group in groups:
            shape = np.shape(grids.steps_of(group))
            share = np.asarray(grids.clipping.get(group.key, 1.0), np.float32) * np.ones(shape, np.float32)
            self._shares[group.key] = _shared(share)
            self.places[group.key] = slice(self.size, self.size + share.size)
            self.size += share.size
        grids.clipping = dict(grids.clipping) | self._shares
        zeros = np.zeros(self.size, np.float32)
        self._first, self._second, self._steps = _shared(zeros), _shared(zeros), _shared(np.float32(0))

    def __call__(self, gradient: Any, together: Sequence[Collection[str]]) -> None:
        """Moves every step.

        Args:
            gradient: Of the logarithm of each step; nothing is moved where one is not finite, as it happens
                while a loss scale is searched.
            together: Disjoint sets of activations, each of which lies on one grid.
        """
        leaders = np.arange(self.size)
        for keys in together:
            rows = [self.grids.rows[key] for key in keys]
            leaders[rows] = min(rows, default=0)
        gradient = tf.math.unsorted_segment_sum(gradient, leaders, self.size)
        is_finite = ops.cast(ops.all(ops.isfinite(gradient)), "float32")
        gradient = ops.where(ops.isfinite(gradient), gradient, 0.0)
        count = self._steps + is_finite
        first = _FIRST_MOMENT * self._first + (1 - _FIRST_MOMENT) * gradient
        second = _SECOND_MOMENT * self._second + (1 - _SECOND_MOMENT) * gradient**2
        for variable, value in ((self._first, first), (self._second, second), (self._steps, count)):
            variable.assign(ops.where(is_finite > 0, value, variable))
        mean = first / (1 - ops.power(_FIRST_MOMENT, ops.maximum(count, 1.0)))
        spread = ops.sqrt(second / (1 - ops.power(_SECOND_MOMENT, ops.maximum(count, 1.0))))
        factor = ops.exp(-RATE * is_finite * mean / ops.maximum(spread, _EPSILON))
        factor = tf.gather(factor, leaders)
        self.grids.ranges.assign(self.grids.ranges * factor[: len(self.grids.rows), None])
        for key, share in self._shares.items():
            share.assign(share * ops.reshape(factor[self.places[key]], share.shape))


class LearnedSteps(FakeQuantize):
    """Simulates a scheme in one train step, and moves the grids in its backward pass.

    Args:
        optimizer: Moves them.
        model: A tape goes back only to what it is asked for, so the steps hang on a weight that learns.
    """

    def __init__(self, optimizer: StepOptimizer, model: keras.Model) -> None:
        grids = optimizer.grids
        super().__init__(grids.scheme, list(grids.rows), grids.ranges, grids.clipping, grids.outputs)
        self._optimizer = optimizer
        self._together: list[set[str]] = []
        anchor = min(model.trainable_variables, key=lambda variable: np.prod(variable.shape), default=None)
        self._logarithms = (
            tf.zeros([optimizer.size]) if anchor is None else self._moving(ops.convert_to_tensor(anchor))
        )

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:
        """Rounds an activation; LiteRT's own grids stay as they are."""
        if fixed is not None or self.scheme.activations.kind != "int" or key not in self.rows:
            return super().tensor(key, tensor, fixed)
        values = tf.cast(tensor, tf.float32)
        low, _ = ops.unstack(self._range(key))
        (least, most), step = self.scheme.activations.limits, self.step(key)
        lowest = ops.round(low / step)
        limits = (lowest * step, (lowest + most - least) * step)
        rounded = super().tensor(key, values, fixed)
        place = self._optimizer.places[key]
        return tf.cast(_learning(values, rounded, limits, self._logarithms[place]), tensor.dtype)

    def unify(self, keys: Sequence[str]) -> None:
        """Lets the grids of several tensors move as one."""
        self._together = joined(self._together, [key for key in keys if key in self.rows])

    def weight(self, group: WeightGroup, kernel: Any) -> tuple[Any, Any]:
        """Rounds a kernel."""
        place = self._optimizer.places.get(group.key)
        rounded, step = super().weight(group, kernel)
        if place is None:
            return rounded, step
        logarithms = self._logarithms[place]
        if step.shape.rank:
            spread, logarithms = group.along_channels(step), group.along_channels(logarithms)
        else:
            spread, logarithms = step, ops.reshape(logarithms, [1] * len(kernel.shape))
        lowest, highest = group.form(self.scheme).limits
        limits = (lowest * spread, highest * spread)
        return _learning(kernel, ops.stop_gradient(rounded), limits, logarithms), step

    def _moving(self, anchor: Any) -> Any:
        """Returns the zeros that the steps' logarithms are moved by; their gradient moves the steps."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def zeros(anchor: Any) -> tuple[Any, Any]:
            def backward(gradient: Any) -> Any:
                self._optimizer(gradient, self._together)
                return tf.zeros_like(anchor)

            return tf.zeros([self._optimizer.size]), backward

        return zeros(anchor)


def _learning(values: Any, rounded: Any, limits: tuple[Any, Any], logarithms: Any) -> Any:
    """Returns `rounded`, with the gradients of the values and of the logarithms of their steps.

    With values `v` on a grid of step `s`, the derivative of `s round(v/s)` by `log s` is `round(v/s) s - v`
    inside the grid's limits and the limit outside.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def apply(values: Any, rounded: Any, logarithms: Any) -> tuple[Any, Any]:
        def backward(gradient: Any) -> tuple[Any, Any, Any]:
            is_inside = tf.cast((values >= limits[0]) & (values <= limits[1]), values.dtype)
            slope = gradient * (rounded - is_inside * values)
            return gradient * is_inside, None, _summed(slope, logarithms)

        return tf.identity(rounded), backward

    return apply(values, rounded, logarithms)


def _summed(slope: Any, logarithms: Any) -> Any:
    """Returns the sum of a gradient over the axes that a number was broadcast along."""
    if logarithms.shape.rank == 1:
        return tf.reshape(tf.reduce_sum(slope), [1])
    axes = [axis for axis, size in enumerate(logarithms.shape) if size == 1]
    return tf.reduce_sum(slope, axes, keepdims=True)


def _shared(values: Any) -> keras.Variable:
    """Returns a variable that is one on all replicas."""
    return keras.Variable(values, dtype="float32", trainable=False, aggregation="mean")
