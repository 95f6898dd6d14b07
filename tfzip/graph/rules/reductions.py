"""Operations that make one number of many."""

from collections.abc import Sequence

from tfzip.graph.channel_trace import Axes, ChannelCall
from tfzip.graph.rules import rule

_HARMLESS = ("Sum", "Norm")  # to a sum, of squares too, a channel that is zero adds nothing


@rule("Sum", "Norm", "Mean", "Max", "Min", "Prod", "Var", "Std", "Amax", "Amin", "Any", "All", "Logsumexp")
def reduction(call: ChannelCall) -> Sequence[Axes]:
    """Reduces some axes and leaves the channels of the others."""
    known = call.inputs[0]
    given = call.layer.axis
    axes = [given] if isinstance(given, int) else list(range(len(known)) if given is None else given)
    reduced = {axis % len(known) for axis in axes}
    name = type(call.layer).__name__
    if name not in _HARMLESS or (name == "Norm" and call.layer.ord not in (None, 2, "fro")):
        call.fix(
            tuple(known[axis] for axis in reduced), "what it takes over all channels depends on their number"
        )
    if call.layer.keepdims:
        return [tuple(None if axis in reduced else labels for axis, labels in enumerate(known))]
    return [tuple(labels for axis, labels in enumerate(known) if axis not in reduced)]


@rule("Argmax", "Argmin")
def place_of(call: ChannelCall) -> Sequence[Axes]:
    """Numbers positions, so that all of them stay."""
    known, axis = call.inputs[0], call.layer.axis
    if axis is None:
        call.fix(known, "it numbers channels")
        return [(None,) * len(call.results[0])]
    call.fix((known[axis],), "it numbers channels")
    rest = tuple(labels for place, labels in enumerate(known) if place != axis % len(known))
    return [rest if not call.layer.keepdims else (None,) * len(call.results[0])]
