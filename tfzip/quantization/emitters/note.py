"""Writes down stored tensors and lets them pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.quantization.emitters import Emitter
from tfzip.schemes import Range


class Note(Emitter):
    """Keeps something about every stored tensor.

    Args:
        about: What to keep of a tensor's values.

    Attributes:
        notes: The grid of each tensor, and what was kept of it.
    """

    def __init__(self, about: Callable[[NDArray[np.float32]], Any]) -> None:
        self.about = about
        self.notes: list[tuple[str, Any]] = []

    def tensor(self, key: str, tensor: Any, fixed: Range | None) -> Any:  # noqa: ARG002
        """Notes an activation."""
        return self.moved(key, tensor)

    def moved(self, key: str, tensor: Any) -> Any:
        """Notes an activation on a known grid."""
        self.notes.append((key, self.about(np.asarray(tensor, np.float32))))
        return tensor
