"""What weighted operations read and make while a model runs on given number formats."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.graph.flat_graph import FlatGraph
from tfzip.quantization.emitters import Kernel, Value
from tfzip.quantization.emitters.fake_quantize import FakeQuantize
from tfzip.quantization.quantizer import Quantizer, in_batches
from tfzip.quantization.weighted import WeightGroup
from tfzip.quantization_record import QuantizationRecord
from tfzip.schemes import Scheme, get_scheme

_BATCH = 16


class Tapped:
    """A model that shows what its weighted operations read and make, on given number formats.

    The run is compiled once and follows later changes of the weights.

    Args:
        model: A built model; its layers are shared.
        scheme: Number formats. Defaults to None: float.
        record: Grids known from before. Defaults to None.
    """

    def __init__(
        self, model: keras.Model, scheme: Scheme | None = None, record: QuantizationRecord | None = None
    ) -> None:
        scheme = scheme or get_scheme("float32")
        quantizer = Quantizer(model, scheme, record or QuantizationRecord(scheme))
        self._simulation, given = quantizer.simulation, quantizer.emitter
        self._tap = _Tap(scheme, list(given.rows), given.ranges, given.clipping)
        self._compiled = tf.function(self._run, autograph=False)

    @property
    def graph(self) -> FlatGraph:
        """The model's flat graph."""
        return self._simulation.graph

    @property
    def groups(self) -> list[WeightGroup]:
        """The model's kernels."""
        return self._simulation.groups

    def batches(self, samples: Mapping[str, NDArray[Any]]) -> Iterator[Mapping[str, tuple[Any, Any]]]:
        """Yields for each batch what every operation reads and makes, before its activation, by key."""
        for batch in in_batches(samples, _BATCH):
            yield self._compiled([tf.convert_to_tensor(array) for array in batch])

    def _run(self, batch: list[Any]) -> dict[str, tuple[Any, Any]]:
        self._tap.seen = {}
        self._simulation.run(batch, self._tap)
        return self._tap.seen


class _Tap(FakeQuantize):
    """Notes what operations read and make."""

    seen: dict[str, tuple[Any, Any]]

    def linear(self, source: Value, kernel: Kernel, apply: Callable[[Any, Any], Any]) -> Any:
        result = super().linear(source, kernel, apply)
        self.seen[kernel.group.key] = source.tensor, result
        return result


def by_kernel(groups: Collection[WeightGroup]) -> list[list[WeightGroup]]:
    """Returns the operations of each kernel variable: more than one where a layer is called again."""
    units: dict[int, list[WeightGroup]] = {}
    for group in groups:
        units.setdefault(id(group.kernel), []).append(group)
    return list(units.values())
