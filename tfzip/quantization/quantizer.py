"""A model with its grids: choosing them on data, running the model on them, writing them down."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.errors import DataError, ModelError
from tfzip.quantization.emitters.collect import Collect
from tfzip.quantization.emitters.fake_quantize import FakeQuantize
from tfzip.quantization.emitters.integer_kernels import IntegerKernels
from tfzip.quantization.emitters.learned_steps import LearnedSteps, StepOptimizer
from tfzip.quantization.observers import Observer
from tfzip.quantization.scales import least_squares_scales
from tfzip.quantization.simulation import Simulation
from tfzip.quantization_record import QuantizationRecord
from tfzip.schemes import Scheme

_FULL_BITS = 8  # from here on, clipping the largest weights costs more than it gains


class Quantizer:
    """Simulates a scheme on a model whose layers it shares.

    Args:
        model: A built model.
        scheme: Number formats.
        record: Grids known from before. Defaults to None: `calibrate` has to be called first.

    Raises:
        ModelError: The model cannot be flattened, or the grids are those of another model.
    """

    def __init__(self, model: keras.Model, scheme: Scheme, record: QuantizationRecord | None = None) -> None:
        self.simulation = Simulation(model)
        self._model = model
        self.scheme = scheme
        self._emitter: FakeQuantize | None = None
        self._steps: StepOptimizer | None = None
        self._clipped = self._clipping(record)
        self._shapes = {} if record is None else dict(record.shapes)
        if record is not None:
            unknown = self.simulation.unknown_layer(record)
            if unknown is not None:
                raise ModelError(
                    f"The grids that model {model.name!r} carries are those of a model with a layer"
                    f" {unknown!r}, which it has not. Give the layers names, so that a model made again has"
                    " the same ones."
                )
            self._set_ranges(dict(record.ranges))

    @property
    def is_calibrated(self) -> bool:
        """Whether there are grids."""
        return self._emitter is not None

    def calibrate(
        self, batches: Iterable[Any], observer: Observer, *, batch_statistics: bool = False
    ) -> None:
        """Chooses the ranges of activations, and at first how far kernels of few bits are clipped.

        Args:
            batches: Inputs as the model takes them.
            observer: Chooses a range from statistics.
            batch_statistics: Whether batch normalization takes those of each batch, as a train step does.
                What it has learned stays as it is.

        Raises:
            DataError: There are no batches, or a tensor is not finite on them.
        """
        collect, count = Collect(), 0
        for batch in batches:
            with keras.StatelessScope():  # moving statistics stay
                self.simulation.run(batch, collect, batch_statistics=batch_statistics)
            self._shapes = self.simulation.shapes_of(batch)
            count += 1
        if not count:
            raise DataError("There is not one batch to calibrate on. Give at least a few dozen samples.")
        self._set_ranges(collect.ranges(observer, self.scheme.activations))

    def __call__(self, inputs: Any, *, training: bool = False, batch_statistics: bool = False) -> Any:
        """Returns the model's outputs as the file computes them; in training, with gradients."""
        emitter = self.emitter
        if not training:
            emitter = IntegerKernels(self.scheme, list(emitter.rows), emitter.ranges, emitter.clipping)
        elif self._steps is not None:
            emitter = LearnedSteps(self._steps, self._model)
        return self.simulation.run(inputs, emitter, training=training, batch_statistics=batch_statistics)

    def learn_steps(self, *, learn: bool) -> None:
        """Lets the steps of grids move in the backward pass of the model run in training, or ends that."""
        if not learn:
            self._steps = None
        elif self._steps is None:
            forms = {group.key: group.form(self.scheme) for group in self.simulation.groups}
            groups = [
                group
                for group in self.simulation.groups
                if forms[group.key].kind == "int" and forms[group.key].symmetric
            ]
            self._steps = StepOptimizer(self.emitter, groups)

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
        chosen = [group for group in self.simulation.groups if group.key in emitter.clipping]
        return QuantizationRecord(
            self.scheme,
            dict(zip(emitter.rows, map(tuple, ranges), strict=True)),
            {group.key: np.asarray(emitter.steps_of(group), np.float32) for group in chosen},
            shapes=self._shapes,
        )

    def _set_ranges(self, ranges: dict[str, tuple[float, float]]) -> None:
        known = self._emitter
        if known is not None and known.rows.keys() == ranges.keys():
            known.ranges.assign(np.array([ranges[key] for key in known.rows], np.float32).reshape(-1, 2))
            return
        values = np.array(list(ranges.values()), np.float32).reshape(-1, 2)
        variable = keras.Variable(values, dtype="float32", trainable=False, name="ranges", aggregation="mean")
        outputs = self.simulation.output_keys
        self._emitter = FakeQuantize(self.scheme, list(ranges), variable, self._clipped, outputs)

    def _clipping(self, record: QuantizationRecord | None) -> dict[str, NDArray[np.float32]]:
        """Returns how much of the magnitude a kernel's grid covers, where that is not all of it."""
        shares = {}
        for group in self.simulation.groups:
            form = group.form(self.scheme)
            if form.kind != "int" or not form.per_channel:
                continue
            rows = group.by_channel(group.folded_kernel())
            if record is not None and group.key in record.weight_scales and group.form(record.scheme) == form:
                steps = record.weight_scales[group.key]
            elif form.bits < _FULL_BITS:
                steps = least_squares_scales(rows, form)
            else:
                continue
            largest = np.abs(rows).max(axis=1)
            share = steps * form.limits[1] / np.where(largest > 0, largest, 1.0)
            shares[group.key] = np.where(largest > 0, share, 1.0).astype(np.float32)
        return shares


def in_batches(samples: Mapping[str, NDArray[Any]], size: int = 32) -> Iterator[list[NDArray[Any]]]:
    """Yields batches of samples, the arrays of each in the order of the model's inputs."""
    arrays = list(samples.values())
    for start in range(0, len(arrays[0]), size):
        yield [array[start : start + size] for array in arrays]
