"""Recurrent layers: a unit has a column in the matrix of each gate and a row in the recurrent ones."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule
from tfzip.graph.rules.activations import activated


@rule("LSTM", "GRU", "SimpleRNN")
def recurrent(call: ChannelCall) -> Sequence[Axes]:
    """Units go with their gates; a unit whose weights are zero stays zero."""
    labels = _cell(call, call.layer, call.channels(-1))
    call.counts("units", labels)
    for states in _initial_states(call):
        if states is None:
            call.fix((labels,), "they begin with states that stay")
        else:
            call.positions.unite(labels, states)
    return [_states(shape, labels) for shape in call.results]


def _cell(call: ChannelCall, layer: Any, source: Labels | None) -> Labels:
    """Binds the weights of a cell and returns its units."""
    cell = layer.cell
    units = call.made(cell.recurrent_kernel, 0)
    gates = int(cell.kernel.shape[1]) // int(cell.recurrent_kernel.shape[0])
    of_gates = np.tile(units, gates)
    call.bind(cell.kernel, 0, source, "in")
    call.bind(cell.kernel, 1, of_gates, "out")
    call.bind(cell.recurrent_kernel, 1, of_gates, "out")
    if cell.bias is not None:
        call.bind(cell.bias, -1, of_gates)
    activated(call, units, cell.activation)
    activated(call, units, getattr(cell, "recurrent_activation", None), "recurrent_activation")
    return units


def _initial_states(call: ChannelCall) -> list[Labels | None]:
    """Returns the units of the states that a layer begins with."""
    given = keras.tree.flatten(call.argument("initial_state"))
    return [axes[-1] for one in given if (axes := call.axes_of(one))]


def _states(shape: Sequence[int | None], labels: Labels) -> Axes:
    return (*(None for _ in shape[:-1]), labels)


@rule("Bidirectional")
def bidirectional(call: ChannelCall) -> Sequence[Axes]:
    """A layer in each direction, whose results are joined."""
    layer = call.layer
    kinds = {type(one).__name__ for one in (layer.forward_layer, layer.backward_layer)}
    if (
        not kinds <= {"LSTM", "GRU", "SimpleRNN"}
        or len(kinds) > 1
        or layer.return_state
        or _initial_states(call)
    ):
        raise Barrier("its directions differ, or hand on or begin with states")
    source = call.channels(-1)
    both = [_cell(call, one, source) for one in (layer.forward_layer, layer.backward_layer)]
    if layer.merge_mode == "concat":
        made = np.concatenate(both)
        call.positions.unite(both[0], both[1])  # both directions are made from one config
    else:
        call.positions.unite(both[0], both[1])
        made = both[0]
    call.edits.config.append(lambda config, kept: config | _both(config, both[0], kept))
    if layer.merge_mode is None:
        return [_states(shape, labels) for shape, labels in zip(call.results, both, strict=True)]
    return [_states(call.results[0], made)]


def _both(config: dict[str, Any], labels: Labels, kept: Kept) -> dict[str, Any]:
    """Returns the options that hold the layers of both directions."""
    given = {name: config[name] for name in ("layer", "backward_layer") if config.get(name)}
    return {
        name: layer | {"config": layer["config"] | {"units": kept.count(labels)}, "build_config": None}
        for name, layer in given.items()
    }
