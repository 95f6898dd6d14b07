"""What weighted operations read and make while a model runs on given number formats."""

from collections.abc import Callable, Collection
from typing import Any

import keras

from tfzip.quantization.emitters import Kernel, Value
from tfzip.quantization.emitters.fake_quantize import FakeQuantize
from tfzip.quantization.quantizer import Quantizer
from tfzip.quantization.weighted import WeightGroup
from tfzip.quantization_record import QuantizationRecord
from tfzip.schemes import Scheme, get_scheme


class Tap(FakeQuantize):
    """Simulates a scheme and keeps what some operations read and make, before their activation.

    Args:
        model: The model that is going to run.
        scheme: Number formats. Defaults to None: float.
        record: Grids known from before. Defaults to None.
        keys: Keys of the kernels of interest.

    Attributes:
        seen: Activation read and result with bias, by key, of the latest run.
    """

    def __init__(
        self,
        model: keras.Model,
        keys: Collection[str],
        scheme: Scheme | None = None,
        record: QuantizationRecord | None = None,
    ) -> None:
        scheme = scheme or get_scheme("float32")
        source = Quantizer(model, scheme, record or QuantizationRecord(scheme)).emitter
        super().__init__(scheme, list(source.rows), source.ranges, source.clipping)
        self.keys = keys
        self.seen: dict[str, tuple[Any, Any]] = {}

    def linear(self, source: Value, kernel: Kernel, apply: Callable[[Any, Any], Any]) -> Any:
        """Notes the activation and the result."""
        result = super().linear(source, kernel, apply)
        if kernel.group.key in self.keys:
            self.seen[kernel.group.key] = source.tensor, result
        return result


def by_kernel(groups: Collection[WeightGroup]) -> list[list[WeightGroup]]:
    """Returns the operations of each kernel variable: more than one where a layer is called again."""
    units: dict[int, list[WeightGroup]] = {}
    for group in groups:
        units.setdefault(id(group.kernel), []).append(group)
    return list(units.values())
