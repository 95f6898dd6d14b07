"""A fit that is killed and started again prunes as if nothing had happened."""

import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.pruning.small import compiled, images, network
from tfzip.pruning.callback import PruningCallback
from tfzip.pruning.window import PruningWindow

BATCHES_BEFORE_DEATH = 16  # of 5 epochs of 6: two epochs are backed up, the third is lost in its middle


def process(*arguments):
    command = [sys.executable, "-m", "tests.pruning.resumable", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def weights(folder):
    stored = np.load(folder / "end.npz")
    return [stored[name] for name in stored.files]


def test_a_killed_fit_resumes_with_the_same_masks_and_weights(tmp_path):
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    dead = process(f"{whole}:pruning_first:0", f"{first}:pruning_first:{BATCHES_BEFORE_DEATH}")
    assert dead.returncode == -signal.SIGKILL, dead.stderr[-2000:]
    dead = process(f"{first}:pruning_first:0", f"{second}:backup_first:{BATCHES_BEFORE_DEATH}")
    assert dead.returncode == -signal.SIGKILL, dead.stderr[-2000:]
    done = process(f"{second}:backup_first:0")
    assert done.returncode == 0, done.stderr[-2000:]
    expected = weights(whole)
    assert np.count_nonzero(expected[-2] == 0) == 1024
    for folder in (first, second):
        for one, other in zip(expected, weights(folder), strict=True):
            np.testing.assert_array_equal(one == 0, other == 0)
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pruning_first", [True, False])
def test_a_backup_from_the_middle_of_an_epoch_restores_the_masks_of_that_step(tmp_path, pruning_first):
    """Update steps are at 0, 5, 10, ...; the backup is of step 8, in whose epoch the fit begins again."""
    zeros = {}

    class Record(keras.callbacks.Callback):
        def __init__(self, stop_at):
            super().__init__()
            self.stop_at = stop_at

        def on_train_batch_begin(self, batch, logs=None):
            step = int(self.model.optimizer.iterations)
            pattern = self.model.get_layer("head").kernel.numpy() == 0
            zeros.setdefault(step, []).append(pattern)
            if step == self.stop_at:
                raise RuntimeError("interrupted")

    def run(stop_at):
        model = compiled(network())
        x, y = images()
        pruning = PruningCallback(0.8, window=PruningWindow(end=20, unit="steps", every=5))
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=8)
        pair = [pruning, backup] if pruning_first else [backup, pruning]
        model.fit(x, y, batch_size=16, epochs=4, callbacks=[*pair, Record(stop_at)], shuffle=False, verbose=0)

    with pytest.raises(RuntimeError, match="interrupted"):
        run(stop_at=9)
    run(stop_at=-1)
    before, after = zeros[8]
    np.testing.assert_array_equal(before, after)
    assert before.sum() == round(1280 * 0.8 * (1 - 0.75**3))
    assert zeros[10][0].sum() == round(1280 * 0.8 * (1 - 0.5**3))
    assert zeros[25][0].sum() == 1024
