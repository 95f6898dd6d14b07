"""The sparsity of each kernel in the logs of a fit."""

from typing import Any

import keras
import numpy as np

from tfzip.fit_step import subject_of
from tfzip.graph.walk import LayerSelection
from tfzip.pruning.kernels import find_kernels
from tfzip.pruning.summary import zero_fraction


class SparsityLogger(keras.callbacks.Callback):
    """Adds `sparsity/<path>` of every kernel to the logs at each epoch's end.

    Callbacks further down the list see the values: `keras.callbacks.TensorBoard` draws a curve per kernel,
    `CSVLogger` writes a column, and the history that `fit` returns keeps them. Works with and without
    `PruningCallback`, such as to check that fine-tuning keeps a model's zeros.

    Args:
        layers: Which layers, as everywhere. Defaults to all.

    Example:
        >>> board = keras.callbacks.TensorBoard("logs")
        >>> model.fit(x, y, callbacks=[PruningCallback(0.6), SparsityLogger(), board])
    """

    def __init__(self, layers: LayerSelection = None) -> None:
        super().__init__()
        self.layers = layers

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Counts the zeros."""
        if logs is None:
            return
        for kernel in find_kernels(subject_of(self.model), self.layers)[0]:
            weights = np.asarray(kernel.variable.numpy())
            logs[f"sparsity/{kernel.path}"] = zero_fraction(weights)
