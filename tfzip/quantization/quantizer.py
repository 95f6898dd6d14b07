"""A model with its grids: choosing them on data, running the model on them, writing them down."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.errors import DataError
from tfzip.quantization.emitters.collect import Collect
from tfzip.quantization.emitters.fake_quantize import FakeQuantize
from tfzip.quantization.observers import Observer
from tfzip.quantization_record import QuantizationRecord
from tfzip.quantization.scales import least_squares_scales
from tfzip.quantization.simulation import Simulation
from tfzip.schemes import Scheme

_FULL_BITS = 8  # from here on, clipping the largest weights costs more than it gains


class Quantizer:
    """Simulates a scheme on a model whose layers it shares.

    Args:
        model: A built model.
        scheme: Number formats.
        record: Grids known from before. Defaults to None: `calibrate` has to be called first.

    Raises:
        ModelError: The model cannot be flattened.
    """

    def __init__(self, model: keras.Model, scheme: Scheme, record: QuantizationRecord | None = None) -> None:
        self.simulation = Simulation(model)
        self.scheme = scheme
        self._emitter: FakeQuantize | None = None
        self._steps = {} if record is None else self._own_steps(record)
        if record is not None:
            self._set_ranges(dict(record.ranges))

    @property
    def is_calibrated(self) -> bool:
        """Whether there are grids."""
        return self._emitter is not None

    def calibrate(self, batches: Iterable[Any], observer: Observer) -> None:
        """Chooses the ranges of activations, and at first how far kernels of few bits are clipped.

        Args:
            batches: Inputs as the model takes them.
            observer: Chooses a range from statistics.

        Raises:
            DataError: There are no batches, or a tensor is not finite on them.
        """
        collect, count = Collect(), 0
        for batch in batches:
            self.simulation.run(batch, collect)
            count += 1
        if not count:
            raise DataError("There is not one batch to calibrate on. Give at least a few dozen samples.")
        self._set_ranges(collect.ranges(observer, self.scheme.activations))

    def __call__(self, inputs: Any, *, batch_statistics: bool = False) -> Any:
        """Returns the model's outputs as the file computes them."""
        return self.simulation.run(inputs, self.emitter, batch_statistics=batch_statistics)

    @property
    def emitter(self) -> FakeQuantize:
        """What rounds tensors; only once there are grids."""
        if self._emitter is None:
            raise DataError("The ranges of activations are not known yet. Calibrate first.")
        return self._emitter

    def record(self) -> QuantizationRecord:
        """Returns the grids as they are now."""
        emitter = self.emitter
        ranges = np.asarray(emitter.ranges, np.float64).tolist()
        chosen = [g for g in self.simulation.groups if g.key in emitter.clipping or g.key in emitter.scales]
        return QuantizationRecord(
            self.scheme,
            dict(zip(emitter.rows, map(tuple, ranges), strict=True)),
            {group.key: np.asarray(emitter.steps_of(group), np.float32) for group in chosen},
        )

    def _set_ranges(self, ranges: dict[str, tuple[float, float]]) -> None:
        values = np.array(list(ranges.values()), np.float32).reshape(-1, 2)
        if self._emitter is not None:
            self._emitter.ranges.assign(values)
            return
        variable = keras.Variable(values, dtype="float32", trainable=False, name="ranges")
        self._emitter = FakeQuantize(
            self.scheme, list(ranges), variable, clipping=self._clipping(), scales=self._steps
        )

    def _clipping(self) -> dict[str, NDArray[np.float32]]:
        """Returns, for kernels of few bits without given steps, how much of the magnitude the grid covers."""
        shares = {}
        for group in self.simulation.groups:
            form = self.scheme.weights_of(group.path)
            if form.kind == "int" and form.bits < _FULL_BITS and form.per_channel and group.key not in self._steps:
                rows = group.by_channel(group.folded_kernel())
                largest = np.abs(rows).max(axis=1)
                steps = least_squares_scales(rows, form)
                shares[group.key] = np.where(largest > 0, steps * form.limits[1] / np.maximum(largest, 1e-30), 1.0)
        return {key: share.astype(np.float32) for key, share in shares.items()}

    def _own_steps(self, record: QuantizationRecord) -> dict[str, NDArray[np.float32]]:
        """Returns the steps of a record that are for the widths of this scheme."""
        widths = {g.key: self.scheme.weights_of(g.path).bits for g in self.simulation.groups}
        known = {g.key: record.scheme.weights_of(g.path).bits for g in self.simulation.groups}
        return {k: s for k, s in record.weight_scales.items() if k in widths and widths[k] == known[k]}
