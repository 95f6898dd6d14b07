"""Attention and other products of two tensors."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule
from tfzip.graph.rules.dense import spread


@rule("MultiHeadAttention", "GroupedQueryAttention")
def heads(call: ChannelCall) -> Sequence[Axes]:
    """Heads go as a whole: what is left scales and sums as before."""
    layer = call.layer
    query, value = call.argument("query"), call.argument("value")
    key = call.argument("key")
    if getattr(layer, "use_gate", False) or call.argument("return_attention_scores"):
        raise Barrier("it has a gate, or returns its scores")
    sources = [call.axes_of(query), call.axes_of(value if key is None else key), call.axes_of(value)]
    for axes in sources:
        call.fix(axes[1:-1], "it attends along them")
    named = ("query_dense", "key_dense", "value_dense", "output_dense")
    inner = [getattr(layer, name, None) or getattr(layer, f"_{name}") for name in named]
    key_heads = call.made(inner[1].kernel, 1)
    shared = int(inner[0].kernel.shape[1]) // len(key_heads)
    query_heads = key_heads.repeat(shared)
    mask = call.argument("attention_mask")
    if call.shape_of(mask)[1:-2] not in ((), (1,)):
        call.fix((key_heads,), "its mask has a part for each of them")
    for dense, axes, labels in zip(inner[:3], sources, (query_heads, key_heads, key_heads), strict=True):
        call.bind(dense.kernel, 0, axes[-1], "in")
        call.bind(dense.kernel, 1, labels, "out")
        if dense.bias is not None:
            call.bind(dense.bias, 0, labels)
    call.bind(inner[3].kernel, 0, query_heads, "in")
    if type(layer).__name__ == "GroupedQueryAttention":  # whose results are as wide as its queries
        made = sources[0][-1]
        call.bind(inner[3].kernel, -1, made, "out")
    else:
        made = call.made(inner[3].kernel, -1)
    if inner[3].bias is not None:
        call.bind(inner[3].bias, 0, made)
    call.edits.config.append(
        lambda config, kept: config | _numbers(config, query_heads, key_heads, made, kept)
    )
    call.edits.arguments.append(_with_its_own_mask)
    return [(*sources[0][:-1], made)]


def _with_its_own_mask(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    kept: Kept,  # noqa: ARG001
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Makes the mask of the queries one of the attention.

    `MultiHeadAttention` goes by the mask that its queries carry, not by the argument, and an operation that
    makes room for channels carries none.
    """
    mask = kwargs.get("query_mask")
    if mask is None:
        return args, kwargs
    mask = ops.expand_dims(ops.cast(mask, "bool"), -1)
    if kwargs.get("attention_mask") is not None:
        mask = ops.logical_and(mask, ops.cast(kwargs["attention_mask"], "bool"))
    return args, {**kwargs, "query_mask": None, "attention_mask": mask}


def _numbers(
    config: dict[str, Any], query_heads: Labels, key_heads: Labels, made: Labels | None, kept: Kept
) -> dict[str, Any]:
    """Returns the options of a layer with fewer heads or channels."""
    if "num_key_value_heads" in config:
        return {
            "num_query_heads": kept.count(query_heads),
            "num_key_value_heads": kept.count(key_heads),
        }
    width = {} if made is None else {"output_shape": (kept.count(made),)}
    return {"num_heads": kept.count(query_heads)} | width


@rule("Attention", "AdditiveAttention")
def attention(call: ChannelCall) -> Sequence[Axes]:
    """Compares query and key along their channels, and sums values."""
    if call.layer.weights or call.argument("return_attention_scores"):
        raise Barrier("it has weights of its own, or returns its scores")
    given = [call.axes_of(one) for one in call.argument("inputs")]  # beside them the call may have masks
    query, value, key = (*given, given[1])[:3]
    call.fix((*query[1:-1], *value[1:-1], *key[1:-1]), "it attends along them")
    _contracted(call, query[-1], key[-1])
    return [(*query[:-1], value[-1])]


def _contracted(call: ChannelCall, first: Labels | None, second: Labels | None) -> None:
    """Unites two axes along which products are summed."""
    if first is not None and second is not None:
        call.positions.unite(first, second)
    else:
        call.fix((first, second), "it joins them with channels that stay")


@rule("Matmul")
def matmul(call: ChannelCall) -> Sequence[Axes]:
    """Sums products along the last axis of one and the last but one of the other."""
    if len(call.inputs) != 2 or len(call.inputs[0]) != len(call.inputs[1]):
        raise Barrier("it multiplies tensors of different rank, or one with a constant")
    one, other = call.inputs
    _contracted(call, one[-1], other[-2])
    batch = [_same(call, *pair) for pair in zip(one[:-2], other[:-2], strict=True)]
    return [(*batch, one[-2], other[-1])]


def _same(call: ChannelCall, first: Labels | None, second: Labels | None) -> Labels | None:
    if first is None and second is None:
        return None
    _contracted(call, first, second)
    return None if first is None or second is None else first


@rule("Einsum")
def einsum(call: ChannelCall) -> Sequence[Axes]:
    """The letters of the equation say which axes are the same."""
    left, _, result = call.layer.subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if not result or len(terms) != len(call.inputs):
        raise Barrier("its equation names no result, or a constant takes part")
    known: dict[str, Labels | None] = {}
    for term, axes in zip(terms, call.inputs, strict=True):
        for letter, labels in zip(spread(term, len(axes)), axes, strict=True):
            known[letter] = _same(call, known[letter], labels) if letter in known else labels
    return [tuple(known[letter] for letter in spread(result, len(call.results[0])))]
