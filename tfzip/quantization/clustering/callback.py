"""Weight sharing in `fit`."""

from collections.abc import Callable
from typing import Any

import keras

from tfzip.errors import ModelError, OptionError
from tfzip.fit_step import forget_steps, recompile, settle, subject_of
from tfzip.graph.walk import LayerSelection
from tfzip.pruning.kernels import LeftOut
from tfzip.quantization.clustering.constraint import detach
from tfzip.quantization.clustering.kernels import SharedKernel, shared_kernels
from tfzip.quantization.clustering.options import Sharing
from tfzip.quantization.clustering.summary import ClusteringSummary, KernelCodes


class ClusteringCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Lets the weights of a kernel share a few values, and trains the values while `fit` runs.

    Codes are assigned by k-means when the start epoch begins. From then on a constraint on the kernel, which
    the optimizer applies inside the compiled step, makes weights with one code equal: a code moves by the
    mean of its members' updates (Han et al. 2016, "Deep Compression", sum their gradients). How far each
    weight would have gone beyond that is remembered, and a weight that comes nearer to another code takes
    it, which is one round of k-means in each step. From `freeze_codes` on weights stay with their codes, as
    in the paper. Zeros stay exactly zero and count as one of the values.

    By default a kernel has one codebook and each output channel a scale: every weight is one of at most
    `clusters` codes in [-1, 1] times its channel's scale. That is what survives in an integer file, where
    batch normalization is folded in and every channel has a scale of its own: the kernel's integers are
    at most `clusters` different ones. With `per_channel=True` every channel has values of its own, which
    costs a codebook for each and loses less.

    A smaller file is what `tfzip.pack` makes of it; on the device the file is as large as any other.

    The state is in the model: equal weights share a code. A fit that `keras.callbacks.BackupAndRestore`
    resumes, and a second fit, go on with the same codes; what was remembered of each weight begins anew.

    Args:
        clusters: The most different values of a codebook, zero included, from 3 to 256. Defaults to 16.
        per_channel: Whether each output channel has a codebook of its own. Defaults to False.
        initialization: Where k-means begins: "density", "linear" or "kmeans++". Defaults to "density".
        layers: Which layers, as everywhere: a predicate or glob patterns on paths. Defaults to all.
        freeze_codes: Epoch from whose begin every weight stays with its code. Defaults to None: weights may
            change their codes until the end.
        start: Epoch from whose begin weights are shared; with `PruningCallback` in the same fit, best the end
            of its window. Defaults to 0.
        seed: Of the draws of k-means++. Defaults to 0.

    Raises:
        OptionError: An argument is out of range.
        UnknownNameError: `initialization` is no known name.

    Example:
        >>> model.fit(train, epochs=3, callbacks=[tfzip.ClusteringCallback(16)])
        >>> tfzip.export(model, "model.tflite", scheme="int8", calibration=x_train[:256])
        >>> tfzip.pack("model.tflite")
    """

    def __init__(
        self,
        clusters: int = 16,
        *,
        per_channel: bool = False,
        initialization: str = "density",
        layers: LayerSelection = None,
        freeze_codes: int | None = None,
        start: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if start < 0:
            raise OptionError(f"start counts epochs from 0. Received: {start}.")
        self.sharing = Sharing(clusters, per_channel, initialization, seed, freeze_codes)
        self.layers = layers
        self.start = start
        self._kernels: list[SharedKernel] = []
        self._left_out: list[LeftOut] = []

    def set_model(self, model: keras.Model) -> None:
        """Refuses a model without an optimizer, which is what keeps weights equal."""
        super().set_model(model)
        if getattr(model, "optimizer", None) is None:
            raise ModelError(
                f"The optimizer keeps shared weights equal, and model {model.name!r} has none."
                " Call model.compile(optimizer=...) first."
            )

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Forgets an earlier fit."""
        if keras.config.backend() != "tensorflow":
            raise ModelError(
                f"ClusteringCallback needs Keras on TensorFlow. Received: {keras.config.backend()!r}."
                " Set KERAS_BACKEND=tensorflow."
            )
        settle(self.model)
        self._kernels = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Shares weights from the start epoch on, after every callback has restored what it restores."""
        if epoch >= self.start and not self._kernels:
            self._begin(epoch)
        elif epoch == self.sharing.freeze_codes and self._kernels:
            self._compile(epoch)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Takes the constraints off; equal weights stay equal."""
        self._on_each(SharedKernel.end)
        if self._kernels:
            forget_steps(self.model)

    def summary(self) -> ClusteringSummary:
        """Returns how many values each kernel has, and what is left out for which reason.

        Raises:
            OptionError: No fit has shared weights with this callback.
        """
        if not self._kernels:
            raise OptionError(
                "This ClusteringCallback has shared no weights yet. Pass it to model.fit first."
            )
        kernels = [
            KernelCodes(one.path, tuple(one.variable.shape), one.count_codebooks(), one.count_values())
            for one in self._kernels
        ]
        left_out = [KernelCodes(one.path, one.shape, skipped=one.reason) for one in self._left_out]
        return ClusteringSummary(tuple(kernels), tuple(left_out))

    def _begin(self, epoch: int) -> None:
        with self.model.distribute_strategy.scope():
            self._kernels, self._left_out = shared_kernels(
                subject_of(self.model), self.layers, self.sharing, owner=self.params
            )
        self._compile(epoch)
        self._on_each(SharedKernel.begin)

    def _compile(self, epoch: int) -> None:
        for kernel in self._kernels:
            kernel.constraint.moving = self.sharing.moves_in(epoch)
        recompile(self.model, on_error=self._release)

    def _on_each(self, act: Callable[[SharedKernel], None]) -> None:
        try:
            for kernel in self._kernels:
                act(kernel)
        except ModelError:
            self._release()
            raise

    def _release(self) -> None:
        for kernel in self._kernels:
            detach(kernel.variable)
        forget_steps(self.model)
