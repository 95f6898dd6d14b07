"""Learns for each weight of one operation whether it is rounded down or up.

Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization": with the rectified sigmoid
h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1), minimise ||f(Wx) - f(W'x')||^2 + c mean(1 - |2 h(V) - 1|^b) over V,
where W' = s (floor(W / s) + h(V)), f is the activation, x' comes from the network rounded so far, and b falls
so that every h(V) ends at 0 or 1.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.quantization.rounding.product import Array, Product

_ZETA, _GAMMA = 1.1, -0.1
_PLACES = 2048
_WARM_UP = 0.2
_STEEPEST, _FLATTEST = 20.0, 2.0
_EPSILON = 1e-9


@dataclass(frozen=True)
class Learning:
    """How rounding is learned.

    Attributes:
        steps: Updates of each operation.
        rate: Learning rate of Adam.
        regularization: Weight of deciding, against an error of 1 for rounding to the nearest.
    """

    steps: int = 500
    rate: float = 0.03
    regularization: float = 8.0


def learned_integers(
    product: Product,
    scaled: Array,
    steps: Array,
    bias: Array,
    *,
    limits: tuple[int, int],
    learning: Learning,
    rng: np.random.Generator,
) -> Array:
    """Returns the integers of the weights, each next to its weight.

    Args:
        product: What the operation reads and should make.
        scaled: Weights divided by their steps: (groups, weights, channels of a group).
        steps: Steps in a shape that broadcasts against `scaled`.
        bias: One number for each channel.
        limits: Smallest and largest integer.
        learning: How to learn.
        rng: Draws the batches of places.

    Returns:
        Whole numbers in the shape of `scaled`. To the nearest where learning found nothing better.
    """
    nearest = np.clip(np.rint(scaled), *limits).astype(np.float32)
    reference = product.error(nearest * steps, bias)
    if reference <= _EPSILON:
        return nearest
    soft = _SoftRounding(scaled, limits)
    optimizer = keras.optimizers.Adam(learning.rate)
    optimizer.build([soft.variable])
    constants = Product(tf.constant(product.rows), tf.constant(product.targets), product.activation)

    def update(places: Any, exponent: Any, weight: Any) -> None:
        with tf.GradientTape() as tape:
            results, targets = constants.results(soft.weights() * steps, bias, places)
            error = tf.reduce_mean(tf.reduce_sum((results - targets) ** 2, axis=-1)) / reference
            loss = error + weight * soft.undecided(exponent)
        optimizer.apply(tape.gradient(loss, [soft.variable]), [soft.variable])

    compiled = tf.function(update)
    for step in range(learning.steps):
        progress = max(0.0, (step / learning.steps - _WARM_UP) / (1 - _WARM_UP))
        exponent = _FLATTEST + (_STEEPEST - _FLATTEST) * 0.5 * (1 + np.cos(np.pi * progress))
        weight = learning.regularization if progress > 0 else 0.0
        places = rng.integers(0, len(product.targets), min(_PLACES, len(product.targets)))
        compiled(tf.constant(places), tf.constant(exponent, tf.float32), tf.constant(weight, tf.float32))
    learned = soft.integers()
    return learned if product.error(learned * steps, bias) < reference else nearest


class _SoftRounding:
    """Weights between the integers below and above, by the rectified sigmoid of a variable."""

    def __init__(self, scaled: Array, limits: tuple[int, int]) -> None:
        self._floor = np.floor(scaled).astype(np.float32)
        self._limits = limits
        above = np.clip(scaled - self._floor, 0.01, 0.99)
        start = -np.log((_ZETA - _GAMMA) / (above - _GAMMA) - 1)
        self.variable = keras.Variable(start.astype(np.float32), name="rounding")

    def weights(self) -> Any:
        return tf.clip_by_value(self._floor + self._share(), *map(float, self._limits))

    def undecided(self, exponent: Any) -> Any:
        """Returns the mean of 1 - |2 h - 1|^b: the sum over the number of weights."""
        return tf.reduce_mean(1 - tf.abs(2 * self._share() - 1) ** exponent)

    def integers(self) -> Array:
        up: NDArray[Any] = np.asarray(self._share()) >= 0.5
        return np.asarray(np.clip(self._floor + up, *self._limits), np.float32)

    def _share(self) -> Any:
        value = tf.convert_to_tensor(self.variable.value)
        return tf.clip_by_value(tf.sigmoid(value) * (_ZETA - _GAMMA) + _GAMMA, 0.0, 1.0)
