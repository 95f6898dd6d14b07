"""From a tensor's name in a file back to the Keras layer that made it.

Keras opens one TensorFlow name scope per layer and call, and TensorFlow makes scopes unique: layer `conv` of
block `stem` in model `net` becomes `net_1/stem_1/conv_1/convolution`, and at its second call `conv_3`. The
converter joins the names of what it fuses with `;` and appends digits to the last part. So a scope `conv2d_1`
is rather layer `conv2d` with TensorFlow's suffix than a layer of that very name.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain

from tfzip.tflite.file_graph import FileGraph, Operator, Subgraph

_SUFFIX = re.compile(r"_\d+$")
_HEAVY = re.compile(r"conv|matmul|einsum|tensordot|depthwise", re.IGNORECASE)
_Index = dict[str, list[tuple[str, ...]]]
_Match = tuple[int, int, int]


def layer_of(tensor_name: str, layer_paths: Sequence[str]) -> str | None:
    """Returns the path of the layer that a tensor came from, or None.

    For a fused tensor, which names several layers, it is the one that computes most (the convolution rather
    than its batch normalization and activation), else the first in `layer_paths`.

    Args:
        tensor_name: As in the file, for example `"net_1/relu_1/Relu;net_1/conv_1/convolution1"`.
        layer_paths: Paths of the model's layers in its order, names joined by `/`. Layers that own others
            need no entry: `"stem"` is known from `"stem/conv"`.

    Example:
        >>> layer_of("net_1/relu_1/Relu;net_1/stem_1/conv_1/convolution1", ["stem/conv", "relu"])
        'stem/conv'
    """
    index, order = _indexed(tuple(layer_paths))
    found: dict[str, bool] = {}
    for part in tensor_name.split(";"):
        *scopes, leaf = part.split("/")
        path = _best(scopes, index)
        if path is not None:
            found[path] = found.get(path, False) or bool(_HEAVY.search(leaf))
    return min(found, key=lambda path: (not found[path], order[path]), default=None)


def layer_of_operator(
    graph: FileGraph, subgraph: Subgraph, operator: Operator, *, layer_paths: Sequence[str]
) -> str | None:
    """Returns the path of the layer that an operation came from, or None.

    The tensors it writes name it. Those that leave the file have lost their names; then their names in the
    signature count, which export takes from the layers, then those of its weights, last of its other inputs.
    """
    inputs = subgraph.tensors_of(operator.inputs)
    weights_first = sorted(inputs, key=lambda tensor: not tensor.is_constant)
    written = (layer_of(tensor.name, layer_paths) for tensor in subgraph.tensors_of(operator.outputs))
    signed = (name for name in _signed_names(graph, subgraph, operator) if name in layer_paths)
    read = (layer_of(tensor.name, layer_paths) for tensor in weights_first)
    return next(filter(None, chain(written, signed, read)), None)


def _signed_names(graph: FileGraph, subgraph: Subgraph, operator: Operator) -> Iterator[str]:
    for signature in graph.signatures:
        if graph.subgraphs[signature.subgraph] is subgraph:
            yield from (name for name, index in signature.outputs.items() if index in operator.outputs)


def _best(scopes: Sequence[str], index: _Index) -> str | None:
    """Returns the path that matches most scopes in a row, TensorFlow's suffixes preferred."""
    matches = ((match, path) for end in range(len(scopes)) for match, path in _ending_at(scopes, end, index))
    best = max(matches, default=None)
    return "/".join(best[1]) if best else None


def _ending_at(scopes: Sequence[str], end: int, index: _Index) -> Iterator[tuple[_Match, tuple[str, ...]]]:
    last = scopes[end]
    for name in {last, _SUFFIX.sub("", last)}:
        for path in index.get(name, ()):
            begin = end + 1 - len(path)
            if begin < 0:
                continue
            suffixed = _suffixes(scopes[begin : end + 1], path)
            if suffixed is not None:
                yield (len(path), suffixed, -begin), path


def _suffixes(scopes: Sequence[str], path: tuple[str, ...]) -> int | None:
    """Returns how many of the scopes are a layer's name and a suffix, or None when one is another name."""
    count = 0
    for scope, name in zip(scopes, path, strict=True):
        if _SUFFIX.sub("", scope) == name:
            count += scope != name
        elif scope != name:
            return None
    return count


@lru_cache(maxsize=8)
def _indexed(layer_paths: tuple[str, ...]) -> tuple[_Index, dict[str, int]]:
    """Returns the paths by their last name, and the place of each in the model's order; owners come along."""
    order: dict[str, int] = {}
    index: _Index = {}
    for place, path in enumerate(layer_paths):
        for prefix in _prefixes(path.split("/")):
            if "/".join(prefix) not in order:
                order["/".join(prefix)] = place
                index.setdefault(prefix[-1], []).append(prefix)
    return index, order


def _prefixes(names: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(names[:count]) for count in range(len(names), 0, -1))
