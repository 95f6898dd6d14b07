"""Which activation functions look at one number alone."""

from typing import Any

import keras

from tfzip.graph.channel_trace import ChannelCall
from tfzip.graph.positions import Labels

_MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}


def activated(call: ChannelCall, labels: Labels | None, activation: Any, name: str = "activation") -> None:
    """Lets channels stay that an activation mixes, or may mix since it is not one of Keras."""
    if activation is None or labels is None:
        return
    is_known = str(getattr(activation, "__module__", "")).startswith("keras.")
    if not is_known or isinstance(activation, keras.Layer):
        call.fix((labels,), f"its {name} is a function that channels cannot be followed through")
    elif getattr(activation, "__name__", "") in _MIXING:
        call.fix((labels,), f"its {name} mixes channels")
