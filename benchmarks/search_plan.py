"""The trainings of `bench_search_training`: who is trained, on which rows of Fashion-MNIST, how long."""

from dataclasses import dataclass
from typing import Any

import numpy as np

FOUND, STOCK = "found by the search", "MobileNetV2 of Keras, width 0.5"
EARLY, LATE = "MobileNetV2 by hand, halved early", "MobileNetV2 by hand, halved late"
CAP = 2.0e6
HELD_OUT = 5000
SEARCH_ROWS = 20_000
# Expansion, channels and repeats of the stages of MobileNetV2 (Sandler et al. 2018, table 2), and the strides
# of the stem and of the stages: two halvings, which is what an image of 28 pixels bears.
STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STRIDES = {EARLY: (2, 1, 2, 1, 1, 1, 1, 1), LATE: (1, 1, 2, 2, 1, 1, 1, 1)}


@dataclass(frozen=True)
class Training:
    """One training from random weights.

    Attributes:
        data: Path of `fashion_mnist.npz`.
        seed: Of weights, order and augmentation.
        epochs: How often every row is seen.
        rate: Of Adam at the start, which falls along half a cosine.
    """

    data: str
    seed: int
    epochs: int = 12
    rate: float = 0.004

    def rows(self, name: str) -> tuple[Any, Any]:
        """Returns images of 0 to 1 and labels: `"train"`, `"held out"` or `"test"`."""
        with np.load(self.data) as stored:
            kind = "test" if name == "test" else "train"
            x, y = stored[f"x_{kind}"][..., None].astype(np.float32) / 255.0, stored[f"y_{kind}"]
        chosen = {"train": slice(0, -HELD_OUT), "held out": slice(-HELD_OUT, None), "test": slice(None)}[name]
        return x[chosen], y[chosen]


def batches(x: Any, y: Any, seed: int, epochs: int, size: int = 128) -> Any:
    """Yields augmented batches: flipped, and shifted by up to two pixels."""
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(x))
        for start in range(0, len(x) - size + 1, size):
            images = x[order[start : start + size]]
            images = np.where(rng.random(size)[:, None, None, None] < 0.5, images[:, :, ::-1], images)
            down, right = rng.integers(-2, 3, 2)
            yield np.roll(images, (down, right), (1, 2)), y[order[start : start + size]]
