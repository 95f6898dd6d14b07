"""Which format and which steps the weights of each operation get."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.fingerprint import Fingerprint, fingerprint, nearest
from tfzip.schemes import Scheme, TensorFormat


@dataclass(frozen=True)
class Kernel:
    """A kernel of the model, as it will be recognised in the file.

    Attributes:
        path: Its layer.
        looks: Fingerprint of its values with batch normalization folded in.
        scales: Step of each output channel where the model has its own; `None`: chosen from the values.
        rows: The values, one row for each output channel, where the model has been simulated. The converter
            folds batch normalization with other last bits, which moves a few weights to the next integer.
        bias: The bias likewise: (channels,).
    """

    path: str
    looks: Fingerprint
    scales: NDArray[np.float32] | None = None
    rows: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class WeightPlan:
    """What the weights of one operation become.

    Attributes:
        form: Their format.
        kernel: The model's kernel behind them, if it was recognised.
    """

    form: TensorFormat
    kernel: Kernel | None = None

    @property
    def scales(self) -> NDArray[np.float32] | None:
        """Their steps; `None`: chosen from the values."""
        return None if self.kernel is None else self.kernel.scales

    @property
    def is_simulated(self) -> bool:
        """Whether a simulation says what the integers are."""
        return self.kernel is not None and self.kernel.rows is not None


class WeightPlans:
    """Finds the kernel behind an operation, by its values and, among equals, by the names of its tensors.

    Args:
        scheme: Formats by layer.
        kernels: The model's kernels.
        layers: Path of the layer of each operation of the float file, in its order; `None` where unknown.
    """

    def __init__(self, scheme: Scheme, kernels: Sequence[Kernel], layers: Sequence[str | None]) -> None:
        self._scheme, self._kernels, self._layers = scheme, kernels, layers

    def of(self, values: Any, place: int) -> WeightPlan:
        """Returns the plan for the weights of the operation at a place in the float file."""
        named, looks = self._layers[place], fingerprint(values)
        own = [kernel for kernel in self._kernels if kernel.path == named]
        for kernels in (own, self._kernels):
            found = nearest([kernel.looks for kernel in kernels], looks)
            if found is not None:
                kernel = kernels[found]
                return WeightPlan(self._scheme.weights_of(kernel.path), kernel)
        return WeightPlan(self._scheme.weights_of(named or ""))
