"""A model with zeros in place of some channels, for as long as a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tfzip.graph.channels import Channels
from tfzip.pruning.channels.view import Array


@contextmanager
def silenced(channels: Channels, units: Array) -> Iterator[None]:
    """Sets weights of channels to zero, and puts them back at the end.

    Args:
        channels: Of the model.
        units: The channels, as in `ChannelGroup.units`.
    """
    before = [(variable, variable.numpy(), values) for variable, values in channels.zeroed(units)]
    changed = [one for one in before if not np.array_equal(one[1], one[2])]
    try:
        for variable, _, values in changed:
            variable.assign(values)
        yield
    finally:
        for variable, values, _ in changed:
            variable.assign(values)
