"""Gentle at both ends."""

import math
from dataclasses import dataclass

from tfzip.pruning.schedules.schedule import Schedule, check_ramp, ramp, schedules


@schedules.register
@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """Grows sparsity along half a cosine, slow at both ends and fastest in the middle.

    `s = initial + (sparsity - initial) * (1 - cos(pi * progress)) / 2`: the annealing of Loshchilov and
    Hutter (2017), "SGDR", turned upside down, as Dettmers and Zettlemoyer (2019) anneal the pruning rate in
    "Sparse Networks from Scratch". Of use where the first cuts hurt, such as with a freshly warmed-up
    learning rate.

    Args:
        sparsity: The share of zeros at the end, in [0, 1). Defaults to 0.5.
        initial: The share of zeros at the beginning, at most `sparsity`. Defaults to 0.0.

    Example:
        >>> round(CosineSchedule(0.8)(0.5), 6)
        0.4
    """

    initial: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ramp(self.initial, self.sparsity)

    def __call__(self, progress: float) -> float:
        """Returns the sparsity on the curve."""
        return ramp(self.initial, self.sparsity, (1.0 + math.cos(math.pi * progress)) / 2.0)
