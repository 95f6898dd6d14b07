"""A space with what builds its networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfzip.nas.space import Space

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelSpace:
    """Networks by their choices.

    Attributes:
        space: What there is to choose from.
        build: From choices to a network with random weights.

    Example:
        >>> networks = tfzip.nas.spaces.mobilenet((32, 32, 3), 10)
        >>> model = networks.build(networks.space.sample(rng))
    """

    space: Space
    build: "Callable[[Mapping[str, Any]], keras.Model]"
