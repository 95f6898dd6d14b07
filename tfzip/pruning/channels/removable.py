"""Which groups of channels may lose some, and why there are none."""

import keras

from tfzip.errors import OptionError
from tfzip.graph.channels import Channels
from tfzip.graph.walk import LayerSelection, select_layers


def removable(model: keras.Model, channels: Channels, layers: LayerSelection) -> list[int]:
    """Returns the places, in `channels.groups`, of the groups that may lose channels.

    Args:
        model: The model.
        channels: Of the model.
        layers: Whose channels may go. A group that any other layer makes, too, stays.

    Raises:
        OptionError: There are none.
    """
    selected = {item.path for item in select_layers(model, layers)}
    made_by = [{one.path for one in group.slices if one.role == "out"} for group in channels.groups]
    found = [
        index
        for index, paths in enumerate(made_by)
        if (layers is None or (paths and paths <= selected)) and channels.groups[index].size > 1
    ]
    if not found:
        raise OptionError(f"No channel of model {model.name!r} can be removed: {_why(channels, selected)}.")
    return found


def _why(channels: Channels, selected: set[str]) -> str:
    """Returns why the channels of the selected layers stay."""
    coupled = [
        f"{one.path!r} is coupled with {other.path!r}, which layers= leaves out"
        for group in channels.groups
        for one in group.slices
        for other in group.slices
        if one.role == other.role == "out" and one.path in selected and other.path not in selected
    ]
    stays = [
        f"{one.path!r} ({group.reason})"
        for group in channels.fixed
        for one in group.slices
        if one.role == "out" and one.path in selected
    ]
    closed = [f"{path!r} ({reason})" for path, reason in channels.barriers.items() if path in selected]
    opaque = [f"{path!r} cannot be looked into: {reason}" for path, reason in channels.graph.opaque]
    return (
        "; ".join(dict.fromkeys([*coupled, *stays, *closed, *opaque][:3]))
        or "it has no layers whose channels are coupled"
    )
