"""Spoken digits as pictures of sound, split by take, and a small network that reads them."""

from itertools import pairwise

import keras
import numpy as np
from common import data_file
from numpy.typing import NDArray

RATE, FRAME, HOP, SECONDS, BANDS = 8000, 256, 160, 0.8, 40
FIRST_VALIDATION, FIRST_TRAIN = 5, 10

Split = tuple[NDArray[np.float32], NDArray[np.uint8]]


def spoken_digits() -> dict[str, Split]:
    """Returns log-mel spectrograms (samples, frames, bands, 1) and digits of each split.

    Takes 0 to 4 of each speaker and digit are the test set, as the data set's authors have it; takes 5 to 9
    the validation set.
    """
    with np.load(data_file("fsdd.npz")) as archive:
        audio, offsets, digit, take = (archive[name] for name in ("audio", "offsets", "digit", "take"))
    pieces = [_log_mel(audio[start:stop] / 2.0**15) for start, stop in pairwise(offsets)]
    sound = np.stack(pieces)[..., None].astype(np.float32)
    masks = {
        "test": take < FIRST_VALIDATION,
        "val": (take >= FIRST_VALIDATION) & (take < FIRST_TRAIN),
        "train": take >= FIRST_TRAIN,
    }
    mean, deviation = sound[masks["train"]].mean(), sound[masks["train"]].std()
    return {name: ((sound[mask] - mean) / deviation, digit[mask]) for name, mask in masks.items()}


def network() -> keras.Model:
    """Returns a depthwise-separable network, as keyword spotting uses them (Zhang et al. 2017)."""
    layers = keras.layers
    inputs = keras.Input((_frames(), BANDS, 1), name="sound")
    x = _normalized(layers.Conv2D(32, (5, 4), strides=2, padding="same", use_bias=False, name="stem")(inputs))
    for block, filters in enumerate((48, 64, 64)):
        strides = 2 if block == 1 else 1
        depthwise = layers.DepthwiseConv2D(
            3, strides=strides, padding="same", use_bias=False, name=f"depthwise{block}"
        )
        x = _normalized(depthwise(x))
        x = _normalized(layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise{block}")(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(10, name="digit")(x), name="spoken_digits")


def _normalized(tensor: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(tensor))


def _frames() -> int:
    return (int(RATE * SECONDS) - FRAME) // HOP + 1


def _log_mel(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns logarithms of the energy in each band and frame of a recording, cut or filled at its end."""
    wave = np.pad(wave[: int(RATE * SECONDS)], (0, max(0, int(RATE * SECONDS) - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME))) ** 2
    return np.log(power @ _BANKS + 1e-4)


def _mel_banks() -> NDArray[np.float64]:
    """Returns triangular weights (frequencies, bands), evenly spaced on the mel scale."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 60 / 700), top, BANDS + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(FRAME, 1 / RATE)[:, None]
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


_BANKS = _mel_banks()
