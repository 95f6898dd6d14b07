"""One weighted operation with a sample of what it reads and of what it should make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.graph.flat_graph import FlatGraph
from tfzip.quantization.rounding.unfold import Unfolding
from tfzip.quantization.tap import Tapped
from tfzip.quantization.weighted import WeightGroup

Array = NDArray[np.float32]
_MOST_PLACES, _MOST_NUMBERS = 65_536, 2**26


@dataclass(frozen=True)
class Product:
    """Rows times columns should be the targets, seen through an activation.

    Attributes:
        rows: What places of the result read in the rounded network: (groups, places, weights).
        targets: What the float network makes there, before its activation: (places, channels).
        activation: The activation that LiteRT fuses with the operation.
    """

    rows: Array
    targets: Array
    activation: Callable[[Any], Any]

    def results(self, columns: Any, bias: Any, places: Any = None) -> tuple[Any, Any]:
        """Returns results and targets after the activation, at all places or some: (places, channels)."""
        rows, targets = self.rows, self.targets
        if places is not None:
            rows, targets = tf.gather(rows, places, axis=1), tf.gather(targets, places)
        blocks = tf.transpose(tf.matmul(rows, columns), [1, 0, 2])
        results = tf.reshape(blocks, [-1, targets.shape[-1]]) + bias
        return self.activation(results), self.activation(targets)

    def error(self, columns: Array, bias: Array) -> float:
        """Returns the squared error of a place, summed over the channels, on average."""
        results, targets = self.results(columns, bias)
        return float(tf.reduce_mean(tf.reduce_sum((results - targets) ** 2, axis=-1)))


def product_of(
    groups: Sequence[WeightGroup],
    models: tuple[Tapped, Tapped],
    samples: dict[str, NDArray[Any]],
    rng: np.random.Generator,
) -> Product:
    """Returns an operation with a sample of places drawn from all samples.

    Neighbouring places are much alike, so some places of each sample say more than all places of a few, and
    what has to be kept is bounded: at most 65,536 places and 256 MB.

    Args:
        groups: The calls of one kernel.
        models: The float network and the rounded one.
        samples: Inputs of the model by name.
        rng: Draws the places.
    """
    unfolding = Unfolding(groups[0])
    row_size = int(np.prod(groups[0].kernel.shape)) // groups[0].channels * unfolding.groups
    total = len(next(iter(samples.values()))) * len(groups)
    share = min(_MOST_PLACES, _MOST_NUMBERS // row_size) / total
    rows, targets = [], []
    for wanted, rounded in zip(*(model.batches(samples) for model in models), strict=True):
        for group in groups:
            read, made = rounded[group.key][0], wanted[group.key][1]
            found = unfolding.rows(tf.cast(read, tf.float32))
            results = unfolding.places(tf.cast(made, tf.float32))
            count = min(len(found), max(int(share * len(read)), 1))
            places = rng.choice(len(found), count, replace=False)
            rows.append(tf.gather(found, places).numpy().transpose(1, 0, 2))
            targets.append(tf.gather(results, places).numpy())
    activation = _fused_activation(models[0].graph, groups[0])
    return Product(np.concatenate(rows, axis=1), np.concatenate(targets), activation)


def _fused_activation(graph: FlatGraph, group: WeightGroup) -> Callable[[Any], Any]:
    own = getattr(group.layer, "activation", None)
    is_last = group.kernel is not getattr(group.layer, "depthwise_kernel", None) or not hasattr(
        group.layer, "pointwise_kernel"
    )
    steps: list[Any] = [own] if is_last and getattr(own, "__name__", "") in ("relu", "relu6") else []
    followers = (graph.nodes[index].operation for index in group.nodes[1:])
    steps += [step for step in followers if not isinstance(step, keras.layers.BatchNormalization)]

    def activation(tensor: Any) -> Any:
        for step in steps:
            tensor = step(tensor)
        return tensor

    return activation
