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
    """

    path: str
    looks: Fingerprint
    scales: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class WeightPlan:
    """What the weights of one operation become.

    Attributes:
        form: Their format.
        scales: Their steps; `None`: chosen from the values.
    """

    form: TensorFormat
    scales: NDArray[np.float32] | None = None


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
                return WeightPlan(self._scheme.weights_of(kernel.path), kernel.scales)
        return WeightPlan(self._scheme.weights_of(named or ""))
