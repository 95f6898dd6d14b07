"""Observes stored tensors while a model runs in float."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfzip.errors import DataError
from tfzip.quantization.emitters import Emitter, joined
from tfzip.quantization.observers import Observer, TensorStatistics
from tfzip.schemes import Range, TensorFormat


class Collect(Emitter):
    """Gathers statistics of every stored tensor, and which tensors share a grid.

    Attributes:
        statistics: By the tensor's key.
        fixed: Ranges that LiteRT prescribes.
    """

    def __init__(self) -> None:
        self.statistics: dict[str, TensorStatistics] = {}
        self.fixed: dict[str, Range] = {}
        self._shared: list[set[str]] = []

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:
        """Adds the values of an activation."""
        if fixed is not None:
            self.fixed[key] = fixed
            return tensor
        values = np.asarray(tensor, np.float32)
        if not np.isfinite(values).all():
            raise DataError(
                f"{key!r} holds values that are not finite on the calibration data, so it has no range."
                " Check the data and the weights for NaN and overflow."
            )
        self.statistics.setdefault(key, TensorStatistics()).add(values)
        return tensor

    def unify(self, keys: Sequence[str]) -> None:
        """Joins the sets that the keys belong to."""
        self._shared = joined(self._shared, keys)

    def ranges(self, observer: Observer, form: TensorFormat) -> dict[str, Range]:
        """Returns the range of each stored tensor; those of tensors on one grid cover all of them."""
        chosen = {key: observer.range(found, form) for key, found in self.statistics.items()}
        for group in self._shared:
            known = [chosen[key] for key in group if key in chosen]
            chosen |= dict.fromkeys(group & chosen.keys(), _union(known))
        return chosen | self.fixed


def _union(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)
