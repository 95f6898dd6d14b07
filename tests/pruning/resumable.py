"""A fit that backs itself up, run by `test_resume` in processes that are killed.

Each argument is `FOLDER:ORDER:KILL_AT`: where to back up and write the final weights, which of the two
callbacks comes first, and after how many batches of this process to die (0: not at all).
"""

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.pruning.small import compiled, images, network
from tfzip.pruning.callback import PruningCallback


class KillAt(keras.callbacks.Callback):
    """Dies like a process that the system ends: at once and without cleaning up."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, order: str, kill_at: int) -> None:
    model = compiled(network(kernel_initializer="zeros", kernel_constraint="non_neg"))
    x, y = images()
    pruning = PruningCallback(0.8)
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    pair = [pruning, backup] if order == "pruning_first" else [backup, pruning]
    callbacks = [*pair, KillAt(kill_at)]
    model.fit(x, y, batch_size=16, epochs=5, callbacks=callbacks, shuffle=False, verbose=0)
    np.savez(folder / "end.npz", *(variable.numpy() for variable in model.weights))


if __name__ == "__main__":
    tf.config.experimental.enable_op_determinism()
    for argument in sys.argv[1:]:
        name, callback_order, batches = argument.rsplit(":", 2)
        Path(name).mkdir(parents=True, exist_ok=True)
        run(Path(name), callback_order, int(batches))
