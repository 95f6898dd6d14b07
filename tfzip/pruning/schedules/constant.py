"""All zeros at once."""

from dataclasses import dataclass

from tfzip.pruning.schedules.schedule import Schedule, schedules


@schedules.register
@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """Prunes to the full sparsity in one cut, at the beginning of the window.

    For fine-tuning a model that is already pruned, or for one-shot pruning followed by training
    (Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks").

    Args:
        sparsity: The share of zeros, in [0, 1). Defaults to 0.5.

    Example:
        >>> ConstantSchedule(0.6)(0.0)
        0.6
    """

    def __call__(self, progress: float) -> float:  # noqa: ARG002 (the same at every point)
        """Returns `sparsity`."""
        return self.sparsity
