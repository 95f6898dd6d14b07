"""Restart points of training: one file per epoch, moved into place, with all that the next epoch depends on.

Keras' own BackupAndRestore writes weights and epoch number as two files and leaves out the seeds of dropout,
so a run killed at the wrong moment would not continue with the same numbers.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzip.errors import OptionError
from tfzip.files import written_beside


class EpochCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves variables, optimizer state, random seeds and the history at the end of every epoch but the last.

    What is trained after the last epoch's end, such as the clean-up of other callbacks, happens in every run.

    Args:
        path: The restart file.
        key: Digest of what the training depends on; a restart file of another key is not used.
        say: Takes one line per epoch.
    """

    def __init__(self, path: Path, key: str, say: Callable[[str], None]) -> None:
        super().__init__()
        self.path = path
        self.key = key
        self.say = say
        self.history: list[dict[str, float]] = []
        if path.exists():
            with np.load(path) as saved:
                meta = json.loads(str(saved["meta"]))
            self.history = meta["history"] if meta["key"] == key else []

    @property
    def initial_epoch(self) -> int:
        """The epoch to go on with."""
        return len(self.history)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Puts the state of the last saved epoch back; the optimizer must be built."""
        if not self.history:
            return
        with np.load(self.path) as saved:
            for number, variable in enumerate(_state(self.model)):
                raw = np.frombuffer(saved[f"v{number}"].tobytes(), np.asarray(variable).dtype)
                variable.assign(raw.reshape(variable.shape))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Says how the epoch went and writes the restart file."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        if not np.isfinite(values.get("loss", 0.0)):
            raise OptionError(
                f"Training diverged in epoch {epoch + 1}: the loss is {values['loss']}. Lower learning_rate."
            )
        self.history.append(values)
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.say(f"epoch {epoch + 1}/{self.params['epochs']}  {numbers}")
        if epoch + 1 < self.params["epochs"]:
            self._save()

    def _save(self) -> None:
        meta = json.dumps({"key": self.key, "history": self.history})
        state = {
            f"v{i}": np.frombuffer(np.asarray(v).tobytes(), np.uint8)
            for i, v in enumerate(_state(self.model))
        }
        with written_beside(self.path) as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, meta=np.array(meta), **state)


def _state(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
