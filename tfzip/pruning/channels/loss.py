"""The loss of a model on a few batches."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzip.errors import OptionError
from tfzip.graph.channels import Channels
from tfzip.pruning.channels.batches import Batch
from tfzip.pruning.channels.silence import silenced


class Loss:
    """The loss that a model was compiled for.

    Args:
        model: The model.
        batches: Inputs and targets.
        asker: What needs the loss, at the start of messages.

    Raises:
        OptionError: There are no targets, or the model is not compiled.
    """

    def __init__(self, model: keras.Model, batches: Sequence[Batch], asker: str) -> None:
        if any(y is None for _, y in batches):
            raise OptionError(f"{asker} needs targets beside inputs. Pass data=(inputs, targets).")
        if not model.compiled:
            raise OptionError(f"{asker} needs the loss of model {model.name!r}. Compile it before.")
        self._model = model
        self._batches = batches
        self._compiled = tf.function(self.on, reduce_retracing=True)

    def on(self, x: Any, y: Any) -> Any:
        """Returns the loss of a batch, to differentiate it."""
        return self._model.compute_loss(x, y, self._model(x, training=False), training=False)

    def without(self, channels: Channels, units: Any) -> float:
        """Returns the mean loss without some channels."""
        with silenced(channels, units):
            return float(np.mean([float(self._compiled(*_tensors(batch))) for batch in self._batches]))


def _tensors(batch: Batch) -> Any:
    return keras.tree.map_structure(tf.convert_to_tensor, batch)
