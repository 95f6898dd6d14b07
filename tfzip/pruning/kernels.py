"""Which variables of a model can hold zeros, and why the others are left out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras

from tfzip.errors import OptionError
from tfzip.graph import walk
from tfzip.graph.walk import LayerSelection, select_layers
from tfzip.pruning.layout import KernelLayout, layout_of

_NAME_ENDINGS = ("kernel", "embeddings")
_FEWEST_AXES = 2
_MOST_REASONS = 3
_NO_KERNEL = "is not a kernel"


@dataclass(frozen=True)
class Kernel:
    """A variable that can be pruned.

    Attributes:
        path: The path of its layer and the variable's name in it: `stem/conv/kernel`.
        variable: The variable.
        layout: Where its inputs and outputs stand.
    """

    path: str
    variable: Any
    layout: KernelLayout


@dataclass(frozen=True)
class LeftOut:
    """A variable that is not pruned, and the reason."""

    path: str
    shape: tuple[int, ...]
    reason: str


def find_kernels(
    model: keras.Model, layers: LayerSelection = None, *, verb: str = "pruned"
) -> tuple[list[Kernel], list[LeftOut]]:
    """Returns what can be pruned: trained variables of two or more axes named `*kernel` or `*embeddings`.

    That is dense, convolution, depthwise, transposed, recurrent, attention and embedding kernels; not biases,
    scales and statistics. A variable that several layers share appears once, at the first of them.

    Args:
        model: A built model.
        layers: Which layers, as in `select_layers`. Defaults to all.
        verb: What is done to kernels, for messages. Defaults to "pruned".

    Raises:
        OptionError: `layers` matches nothing, or nothing that it matches can be pruned.
    """
    chosen = select_layers(model, layers)
    selected = {id(item.layer) for item in chosen}
    trained = {id(variable) for variable in model.trainable_weights}
    seen: set[int] = set()
    kernels: list[Kernel] = []
    left_out: list[LeftOut] = []
    for item in walk(model):
        for variable in item.layer.weights:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            path = f"{item.path}/{_name_within(item.layer.name, variable.path)}"
            reason = _why_not(variable, id(item.layer) in selected, id(variable) in trained)
            if reason:
                left_out.append(LeftOut(path, tuple(variable.shape), reason))
            else:
                kernels.append(Kernel(path, variable, layout_of(item.layer, variable)))
    for variable in model.weights:
        if id(variable) not in seen:
            reason = "belongs to a layer that holds other layers, not to a leaf"
            path = variable.path.removeprefix(f"{model.name}/")
            left_out.append(LeftOut(path, tuple(variable.shape), reason))
    if not kernels:
        reasons = _telling_reasons(left_out, [item.path for item in chosen])
        raise OptionError(f"Nothing in model {model.name!r} can be {verb}: {reasons}.")
    return kernels, left_out


def _telling_reasons(left_out: list[LeftOut], chosen: Iterable[str]) -> str:
    """Returns some reasons in words, those of the chosen layers and of kernels first."""
    beginnings = tuple(f"{path}/" for path in chosen)
    ranked = sorted(left_out, key=lambda one: (not one.path.startswith(beginnings), one.reason == _NO_KERNEL))
    return "; ".join(f"{one.path} {one.reason}" for one in ranked[:_MOST_REASONS]) or "it has no weights"


def _name_within(layer_name: str, variable_path: str) -> str:
    """Returns what follows the layer's name in a variable's path: `forward_lstm/lstm_cell/kernel`."""
    return variable_path.rpartition(f"{layer_name}/")[2]


def _why_not(variable: Any, selected: bool, trained: bool) -> str:
    if len(variable.shape) < _FEWEST_AXES or not variable.name.endswith(_NAME_ENDINGS):
        return _NO_KERNEL
    if not keras.backend.is_float_dtype(variable.dtype):
        return f"holds {variable.dtype}, not real numbers"
    if not selected:
        return "is not selected by layers="
    if not trained:
        return "is frozen (trainable=False), so it could not make up for the zeros"
    return ""
