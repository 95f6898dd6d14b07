"""Remaining life of turbofan engines from their sensors (C-MAPSS FD001), and networks that tell it."""

import keras
import numpy as np
from common import data_file
from numpy.typing import NDArray

WINDOW, MOST_CYCLES = 30, 125.0
FIRST_VALIDATION_ENGINE = 81
UNIT, FIRST_SENSOR = 0, 2

Split = tuple[NDArray[np.float32], NDArray[np.float32]]


def engine_life() -> dict[str, Split]:
    """Returns windows (samples, cycles, sensors) and the cycles that are left after each.

    Engines 1 to 80 train, 81 to 100 validate. The test set is the official one: the last window of each of
    100 other engines. The life to learn is cut at 125 cycles, as is usual for this set, since a new engine
    shows no wear; that of the test set is as published. Settings and sensors are scaled to [-1, 1] by the
    engines that train; those that never change are 0.
    """
    with np.load(data_file("cmapss_fd001.npz")) as archive:
        train, test, published = archive["train"], archive["test"], archive["rul"]
    learned = train[train[:, UNIT] < FIRST_VALIDATION_ENGINE][:, FIRST_SENSOR:]
    low, span = learned.min(axis=0), np.ptp(learned, axis=0)

    def scaled(rows: NDArray[np.float64]) -> NDArray[np.float32]:
        moves = 2 * (rows[:, FIRST_SENSOR:] - low) / np.where(span > 0, span, 1) - 1
        return np.where(span > 0, moves, 0).astype(np.float32)

    splits: dict[str, tuple[list, list]] = {name: ([], []) for name in ("train", "val", "test")}
    for unit in np.unique(train[:, UNIT]):
        rows = scaled(train[train[:, UNIT] == unit])
        windows = np.lib.stride_tricks.sliding_window_view(rows, WINDOW, axis=0).swapaxes(1, 2)
        inputs, lives = splits["train" if unit < FIRST_VALIDATION_ENGINE else "val"]
        inputs.append(windows)
        lives.append(np.minimum(np.arange(len(windows))[::-1], MOST_CYCLES))
    for unit in np.unique(test[:, UNIT]):
        splits["test"][0].append(scaled(test[test[:, UNIT] == unit])[None, -WINDOW:])
    splits["test"][1].append(published)
    return {
        name: (np.concatenate(inputs), np.concatenate(lives).astype(np.float32))
        for name, (inputs, lives) in splits.items()
    }


def network(recurrent: str, sensors: int) -> keras.Model:
    """Returns convolutions over time, then a recurrent layer, that tell the life left in units of 125 cycles.

    Args:
        recurrent: "LSTM" or "GRU".
        sensors: Number of inputs at each cycle.
    """
    layers = keras.layers
    inputs = keras.Input((WINDOW, sensors), name="sensors")
    x = inputs
    for index in range(2):
        x = layers.Conv1D(32, 10, padding="causal", activation="relu", name=f"conv{index}")(x)
    x = layers.Dropout(0.2)(layers.AveragePooling1D(2)(x))
    x = layers.Dropout(0.2)(getattr(layers, recurrent)(32, name="memory")(x))
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(1, name="life")(x), name=f"engine_life_{recurrent.lower()}")
