"""Zeros while training."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfzip.errors import ModelError, OptionError, did_you_mean
from tfzip.fit_step import settle, subject_of
from tfzip.graph.walk import LayerSelection
from tfzip.pruning.clock import FitClock
from tfzip.pruning.criteria import Criterion, WeightCriterion, criteria
from tfzip.pruning.decide import SCOPES, choose_masks
from tfzip.pruning.kernels import Kernel, LeftOut, find_kernels
from tfzip.pruning.masked_kernel import MaskedKernel, release_all, release_on_error
from tfzip.pruning.patterns import Pattern, patterns
from tfzip.pruning.schedules import PolynomialSchedule, Schedule, schedules
from tfzip.pruning.summary import KernelSparsity, PruningSummary, zero_fraction
from tfzip.pruning.window import PruningWindow
from tfzip.registry import Registry


class PruningCallback(keras.callbacks.Callback):
    """Sets the least important weights of a model to zero while `fit` trains the others.

    Masks are constraints on the kernels, which the optimizer applies inside the compiled step: pruned weights
    are exactly zero at the end of every batch, also with `steps_per_execution`, `jit_compile`, mixed
    precision and `tf.distribute.MirroredStrategy`. The model's layers and their configuration do not change,
    nothing has to be stripped, and files saved while training load without tfzip.

    The state of pruning is in the model: the zeros of a kernel are its mask, the optimizer's count of steps
    is the position in the schedule. A fit that `keras.callbacks.BackupAndRestore` resumes goes on with the
    same masks, in either order of the two callbacks.

    What is due by the end of a fit is applied when its last epoch ends. A fit that ends before its window
    does warns of the sparsity that is missing.

    `logs["sparsity"]` holds the share of zeros at each epoch's end, for callbacks further down the list.

    Args:
        schedule: How fast sparsity grows: a `Schedule`, its name, a mapping with `name` and fields, or a
            number, which stands for `PolynomialSchedule(number)`. Defaults to 0.5.
        criterion: How much a weight matters: a `Criterion`, its name or a mapping. Defaults to `"magnitude"`.
        pattern: Which weights may go together: a `Pattern`, its name or a mapping. Defaults to `"element"`.
        scope: `"layer"` prunes every kernel to the scheduled sparsity; `"global"` compares scores across
            kernels and prunes all of them together to it. Defaults to `"layer"`.
        layers: Which layers, as everywhere: a predicate or glob patterns on paths. Defaults to all.
        window: When sparsity grows. Defaults to the first three quarters of the fit.

    Raises:
        OptionError: An argument is out of range or of the wrong kind.
        UnknownNameError: A name is not registered.

    Example:
        >>> pruning = PruningCallback(0.6, window=PruningWindow(end=2))
        >>> model.fit(train, epochs=3, callbacks=[pruning])
        >>> print(pruning.summary())
    """

    def __init__(
        self,
        schedule: Schedule | float | str | Mapping[str, Any] = 0.5,
        *,
        criterion: Criterion | str | Mapping[str, Any] = "magnitude",
        pattern: Pattern | str | Mapping[str, Any] = "element",
        scope: str = "layer",
        layers: LayerSelection = None,
        window: PruningWindow | None = None,
    ) -> None:
        super().__init__()
        if isinstance(schedule, int | float):
            schedule = PolynomialSchedule(schedule)
        if scope not in SCOPES:
            raise OptionError(
                f"scope is 'layer' or 'global'. Received: {scope!r}.{did_you_mean(scope, SCOPES)}"
            )
        self.schedule: Schedule = _strategy(schedules, Schedule, schedule)
        self.criterion = _of_weights(_strategy(criteria, Criterion, criterion))
        self.pattern: Pattern = _strategy(patterns, Pattern, pattern)
        self.scope = scope
        self.layers = layers
        self.window = window or PruningWindow()
        self._kernels: list[MaskedKernel] = []
        self._left_out: list[LeftOut] = []
        self._starts: list[np.ndarray[Any, Any]] | None = None

    def set_model(self, model: keras.Model) -> None:
        """Notes the optimizer's step, and weights if needed, before any callback restores a checkpoint."""
        super().set_model(model)
        if getattr(model, "optimizer", None) is None:
            raise ModelError(
                f"The optimizer keeps pruned weights at zero, and model {model.name!r} has none."
                " Call model.compile(optimizer=...) first."
            )
        self._clock = FitClock(model.optimizer)
        self._starts = None
        if self.criterion.needs == "start":
            found, _ = find_kernels(subject_of(model), self.layers)
            self._starts = [np.asarray(kernel.variable.numpy()) for kernel in found]

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Puts masks on the kernels, at first without zeros."""
        if keras.config.backend() != "tensorflow":
            raise ModelError(
                f"PruningCallback needs Keras on TensorFlow. Received: {keras.config.backend()!r}."
                " Set KERAS_BACKEND=tensorflow."
            )
        settle(self.model)
        self._grid = self.window.grid(self.params["epochs"], self.params["steps"])
        found, self._left_out = find_kernels(subject_of(self.model), self.layers)
        for kernel in found:
            self._check(kernel)
        strategy = self.model.distribute_strategy
        self._kernels = [MaskedKernel(kernel, self.params, strategy) for kernel in found]
        self._sparsity: float | None = None
        self._started = False
        self._epochs_ended = 0
        release_on_error(self.model)

    def _check(self, kernel: Kernel) -> None:
        try:
            self.pattern.check(kernel.layout.arranged_shape, self.schedule.sparsity)
        except OptionError as error:
            raise OptionError(
                f"Pattern {patterns.name_of(self.pattern)!r} on {kernel.path!r}: {error}"
            ) from None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Reads the position; in the first epoch, after every callback has restored what it restores."""
        if not self._started:
            self._clock.start(epoch, self.params["steps"])
            self._started = True
            self._passed = self._clock.batches()
        self._batches = 0
        self._epoch_begin = self._clock.batches()
        self._advance(epoch if self._grid.per_epoch else self._epoch_begin)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Changes the masks where an update is due."""
        self._batches = batch + self.model.steps_per_execution
        if self._epoch_begin + batch < self._next_update:
            return
        done = self._clock.batches()  # fewer than counted here where loss scaling has skipped steps
        self._epoch_begin = done - batch
        if done >= self._next_update:
            self._advance(done)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the share of zeros over all masked kernels to `logs`, in the last epoch with what is due."""
        batches = min(self._batches, self.params["steps"] or self._batches)
        if self._epochs_ended == 0:
            self._check_clock(batches)
        self._passed += batches
        self._epochs_ended = epoch + 1
        if epoch + 1 == self.params["epochs"]:
            self._apply_rest()
        if logs is not None:
            logs["sparsity"] = self.summary().sparsity

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Applies the masks to what averaging or restoring may have written, and takes them off."""
        if self._epochs_ended:
            self._apply_rest()
        for kernel in self._kernels:
            kernel.enforce()
        release_all(self.model, self._kernels)
        if self._epochs_ended and self._reached != self.schedule.sparsity:
            warnings.warn(self._shortfall(), stacklevel=2)

    def summary(self) -> PruningSummary:
        """Returns the zeros of each kernel, counted now, and what is left out for which reason.

        Raises:
            OptionError: No fit has begun with this callback.
        """
        if not self._kernels:
            raise OptionError("This PruningCallback has not been used yet. Pass it to model.fit first.")
        kernels = [
            KernelSparsity(
                path=kernel.path,
                shape=tuple(kernel.variable.shape),
                sparsity=zero_fraction(kernel.read()),
                target=zero_fraction(kernel.mask),
            )
            for kernel in self._kernels
        ]
        left_out = [KernelSparsity(one.path, one.shape, skipped=one.reason) for one in self._left_out]
        return PruningSummary(tuple(kernels), tuple(left_out), self.schedule.sparsity, self._reached)

    @property
    def _position(self) -> int:
        """Ticks that have ended, also those whose step was skipped by loss scaling."""
        return self._epochs_ended if self._grid.per_epoch else self._passed

    @property
    def _reached(self) -> float:
        return self._sparsity or 0.0

    def _shortfall(self) -> str:
        unit = "epoch" if self._grid.per_epoch else "step"
        return (
            f"The fit ended at {unit} {self._position} and the pruning window ends at {unit}"
            f" {self._grid.end:g}, so the schedule reached sparsity {self._reached:.3g} and not its target"
            f" {self.schedule.sparsity:.3g}. Train longer, or pass window=PruningWindow(end=...) with an"
            " end within the fit."
        )

    def _check_clock(self, batches: int) -> None:
        if not self._clock.stands_still(batches):
            return
        release_all(self.model, self._kernels)
        raise ModelError(
            f"The optimizer of model {self.model.name!r} applied nothing in an epoch of {batches} batches, so"
            " pruning cannot tell where the fit stands. A train_step of its own must apply self.optimizer:"
            " pass the optimizer that updates the pruned layers to compile(optimizer=...)."
        )

    def _apply_rest(self) -> None:
        """Goes to the target where the window has ended and no batch has begun since."""
        if self._position >= self._grid.end:
            self._advance(self._position)

    def _advance(self, tick: int) -> None:
        progress = self._grid.progress(tick)
        self._next_update = math.inf if self._grid.per_epoch else self._grid.next_update(tick)
        if progress is not None:
            self._prune(self.schedule(progress))

    def _prune(self, sparsity: float) -> None:
        if sparsity == self._sparsity:
            return
        weights = [kernel.read() for kernel in self._kernels]
        for kernel, values in zip(self._kernels, weights, strict=True):
            if not np.isfinite(values).all():
                release_all(self.model, self._kernels)
                raise ModelError(
                    f"Training has diverged: {kernel.path!r} holds weights that are not finite, so no mask"
                    " can be chosen. Lower the learning rate or clip the gradients."
                )
        masks = choose_masks(
            weights,
            sparsity,
            criterion=self.criterion,
            pattern=self.pattern,
            scope=self.scope,
            starts=self._starts,
            layouts=[kernel.layout for kernel in self._kernels],
        )
        for kernel, mask in zip(self._kernels, masks, strict=True):
            kernel.write(mask)
        self._sparsity = sparsity


def _of_weights(criterion: Criterion) -> WeightCriterion:
    if not isinstance(criterion, WeightCriterion):
        able = ", ".join(name for name in criteria if issubclass(criteria.type_of(name), WeightCriterion))
        raise OptionError(
            f"Criterion {criteria.name_of(criterion)!r} tells channels apart, not single weights."
            f" Use it with tfzip.remove_channels, or one of these here: {able}."
        )
    return criterion


def _strategy(registry: Registry[Any], kind: type, spec: Any) -> Any:
    strategy = registry.get(spec)
    if not isinstance(strategy, kind):
        raise OptionError(
            f"A {kind.__name__.lower()} is a {kind.__name__} object, a name, or a mapping with 'name' and"
            f" fields. Received: {spec!r}. Known names: {', '.join(registry)}."
        )
    return strategy
