"""Where a fit stands."""

from typing import Any


class FitClock:
    """Counts the batches of a fit from the optimizer's own count, which checkpoints carry.

    Made before any callback restores a checkpoint, started after all of them have.

    Args:
        optimizer: The model's optimizer; with gradient accumulation or loss scaling it counts what it
            applied.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._origin = self._applied()

    def start(self, epoch: int, steps_per_epoch: int | None) -> None:
        """Settles which of the optimizer's steps was the fit's first.

        A checkpoint restored since the clock was made shows as steps that fit the epoch. Otherwise the
        optimizer has done its steps before (an earlier fit, a loaded model), and `initial_epoch` alone tells
        the position.

        Args:
            epoch: The epoch at which the fit starts or goes on.
            steps_per_epoch: Batches per epoch, or None where that is unknown.
        """
        applied = self._applied()
        passed = applied - self._origin
        if steps_per_epoch is None:
            position = max(0, passed) if passed > 0 or epoch == 0 else applied
        elif max(0, (epoch - 1) * steps_per_epoch + 1) <= passed <= (epoch + 1) * steps_per_epoch:
            position = passed  # a little less than epoch * steps where loss scaling has skipped steps
        else:
            position = epoch * steps_per_epoch
        self._origin = applied - position
        self._start = applied

    def batches(self) -> int:
        """Returns the batches since the fit's first. It waits for the device: not for every batch."""
        return self._applied() - self._origin

    def stands_still(self, batches: int) -> bool:
        """Returns whether no step was applied since the start, though enough batches ran and none may skip.

        Args:
            batches: Batches since the start.
        """
        if hasattr(self._optimizer, "inner_optimizer"):  # loss scaling skips steps that overflow
            return False
        enough = self._optimizer.gradient_accumulation_steps or 1
        return batches >= enough and self._applied() == self._start

    def _applied(self) -> int:
        innermost = getattr(self._optimizer, "inner_optimizer", self._optimizer)
        return int(self._optimizer.iterations.numpy()) * (innermost.gradient_accumulation_steps or 1)
