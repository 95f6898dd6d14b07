"""Dense layers, einsums with a kernel, and tables of embeddings."""

from collections.abc import Sequence
from typing import Any

from tfzip.graph.channel_trace import Axes, ChannelCall
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule
from tfzip.graph.rules.activations import activated


@rule("Dense")
def dense(call: ChannelCall) -> Sequence[Axes]:
    """Reads the last axis and makes a new one."""
    layer = call.layer
    call.bind(layer.kernel, 0, call.inputs[0][-1], "in")
    made = call.made(layer.kernel, 1)
    call.counts("units", made)
    if layer.bias is not None:
        call.bind(layer.bias, 0, made)
    activated(call, made, layer.activation)
    return [(*call.inputs[0][:-1], made)]


@rule("EinsumDense")
def einsum_dense(call: ChannelCall) -> Sequence[Axes]:
    """The letters of its equation say which axes are the same."""
    layer = call.layer
    left, result = layer.equation.replace(" ", "").split("->")
    source, kernel = left.split(",")
    sizes = len(call.inputs[0]), len(call.results[0])
    known = dict(zip(spread(source, sizes[0]), call.inputs[0], strict=True))
    makes = set(spread(result, sizes[1]))
    for axis, letter in enumerate(kernel):
        if letter in known:
            call.bind(layer.kernel, axis, known[letter], "channel" if letter in makes else "in")
        else:
            known[letter] = call.made(layer.kernel, axis)
    axes = tuple(known[letter] for letter in spread(result, sizes[1]))
    if layer.bias is not None:
        bind_bias(call, layer.bias, axes)
    for labels in axes:
        activated(call, labels, layer.activation)
    call.edits.config.append(lambda config, kept: config | {"output_shape": _shape(config, axes, kept)})
    return [axes]


def bind_bias(call: ChannelCall, bias: Any, axes: Axes) -> None:
    """Binds the axes of a bias to those of the result it is added to, the last to the last."""
    for axis, size in enumerate(bias.shape):
        if size > 1:
            call.bind(bias, axis, axes[axis - len(bias.shape)])


def spread(term: str, rank: int) -> list[str]:
    """Returns the letter of each axis, with `.1`, `.2` and so on, from the right, for those of `...`."""
    head, dots, tail = term.partition("...")
    inner = rank - len(head) - len(tail) if dots else 0
    return [*head, *(f".{inner - index}" for index in range(inner)), *tail]


def _shape(config: dict[str, Any], axes: Axes, kept: Kept) -> tuple[int | None, ...]:
    """Returns the option `output_shape`, which leaves out the batch."""
    given = config["output_shape"]
    given = (given,) if isinstance(given, int) else tuple(given)
    last = axes[len(axes) - len(given) :]
    return tuple(_size(size, labels, kept) for size, labels in zip(given, last, strict=True))


def _size(size: int | None, labels: Labels | None, kept: Kept) -> int | None:
    return size if size is None or labels is None else kept.count(labels)


@rule("Embedding")
def embedding(call: ChannelCall) -> Sequence[Axes]:
    """Makes an axis of its own after those of the tokens."""
    made = call.made(call.layer.embeddings, 1)
    call.counts("output_dim", made)
    return [(*call.inputs[0], made)]
