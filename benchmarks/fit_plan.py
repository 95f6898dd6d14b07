"""The fit that both sides of `bench_pruning_fit` run."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

SPARSITY = 0.6
SEED = 0


@dataclass(frozen=True)
class FitPlan:
    """A fit of fixed length, pruned to `SPARSITY` within its first three quarters.

    Attributes:
        steps: Batches per epoch.
        epochs: Number of epochs.
        batch_size: Rows per batch.
        data: Path of the images, `x_train` of bytes and `y_train`.
    """

    steps: int
    epochs: int
    batch_size: int
    data: str

    @property
    def end(self) -> int:
        """Step at which sparsity reaches its target."""
        return self.steps * self.epochs * 3 // 4

    @property
    def every(self) -> int:
        """Steps between two updates of the masks."""
        return max(1, min(100, self.end // 10))

    def arrays(self) -> dict[str, Any]:
        """Returns the arguments of `fit` but for the callbacks; the model takes pixels of 0 to 255."""
        count = self.steps * self.batch_size
        with np.load(self.data) as stored:
            x, y = stored["x_train"][:count].astype(np.float32), stored["y_train"][:count].reshape(-1)
        options = {"batch_size": self.batch_size, "epochs": self.epochs, "shuffle": False, "verbose": 0}
        return {"x": x, "y": y.astype(np.int32), **options}


class EpochTimes:
    """Collects the seconds of each epoch; mixed into the `Callback` of either Keras."""

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Starts a new list."""
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Starts the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Stops it."""
        self.seconds.append(time.perf_counter() - self._began)


def zero_fraction(kernels: list[np.ndarray]) -> float:
    """Returns the share of zeros over all kernels."""
    return 1.0 - sum(map(np.count_nonzero, kernels)) / sum(kernel.size for kernel in kernels)
