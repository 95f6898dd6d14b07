"""Where the stages of a model end: the last settled features of each resolution on its main path."""

from collections.abc import Iterator, Mapping

import keras

from tfzip.graph.flat_graph import FlatGraph, FlatNode

Positions = tuple[int, ...]

_layers = keras.layers
_NORMS = (
    _layers.BatchNormalization,
    _layers.GroupNormalization,
    _layers.LayerNormalization,
    _layers.RMSNormalization,
    _layers.UnitNormalization,
)
_SETTLED = (
    *_NORMS,
    _layers.ReLU,
    _layers.LeakyReLU,
    _layers.PReLU,
    _layers.ELU,
    _layers.Add,
    _layers.Average,
    _layers.Concatenate,
    _layers.Maximum,
    _layers.Multiply,
    _layers.Subtract,
)
_MERGES = ("Add", "Concatenate", "Maximum", "Multiply")
_ACTIVATIONS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Gelu", "Silu", "HardSilu", "Sigmoid", "Tanh", "Mish")
_MOVES_ONLY = (
    _layers.ZeroPadding1D,
    _layers.ZeroPadding2D,
    _layers.ZeroPadding3D,
    _layers.Cropping1D,
    _layers.Cropping2D,
    _layers.Cropping3D,
)


def stage_ends(graph: FlatGraph, features: Mapping[int, str]) -> dict[Positions, str]:
    """Returns the layer at the end of each stage, by the sizes between batch and channels.

    That is the last activation, normalization or merge on the main path, which every way from the inputs to
    an output takes; where no such way is the only one, as inside a U-Net, the last of all. Where an operation
    without a layer is the last, it is the nearest layer before it. What no weights have made, what only pads
    or crops, convolutions that a normalization or an activation is still to follow, and branches that squeeze
    all positions to one and are read back are no ends of stages.

    Args:
        graph: A flat graph.
        features: Path by tensor of the outputs of layers that can be compared.
    """
    makers = {tensor: node for node in graph.nodes for tensor in node.outputs}
    trunk = _trunk(graph)
    found = {}
    for positions, tensors in _by_size(graph, makers).items():
        settled = [tensor for tensor in tensors if _is_settled(makers[tensor])]
        main = [tensor for tensor in settled if tensor in trunk] or settled
        end = _nearest(main[-1], tensors, settled, features) if main else None
        if end is not None:
            found[positions] = features[end]
    return found


def _by_size(graph: FlatGraph, makers: Mapping[int, FlatNode]) -> dict[Positions, list[int]]:
    """Returns the tensors that may end a stage."""
    squeezed = _squeezed(graph)
    found: dict[Positions, list[int]] = {}
    for tensor in _learned(graph):
        positions = positions_of(graph.tensors[tensor].shape)
        moved = isinstance(makers[tensor].operation, _MOVES_ONLY)
        if positions is not None and tensor not in squeezed and not moved:
            found.setdefault(positions, []).append(tensor)
    return found


def positions_of(shape: tuple[int | None, ...]) -> Positions | None:
    """Returns the sizes between batch and channels, or None where there are none or one is not known."""
    sizes = tuple(size for size in shape[1:-1] if size is not None)
    return sizes if sizes and len(sizes) == len(shape) - 2 else None


def _nearest(last: int, tensors: list[int], settled: list[int], features: Mapping[int, str]) -> int | None:
    """Returns the last tensor up to `last` that a layer makes, a settled one if there is any."""
    before = [tensor for tensor in settled if tensor <= last and tensor in features]
    before = before or [tensor for tensor in tensors if tensor <= last and tensor in features]
    return before[-1] if before else None


def _is_settled(node: FlatNode) -> bool:
    """Whether what follows in its block, such as a normalization of a convolution, has already happened."""
    operation = node.operation
    if not node.is_layer:
        return type(operation).__name__ in (*_MERGES, *_ACTIVATIONS)
    if isinstance(operation, _SETTLED) or not type(operation).__module__.startswith("keras."):
        return True
    return getattr(operation, "activation", None) not in (None, keras.activations.linear)


def _learned(graph: FlatGraph) -> list[int]:
    """Returns the tensors that weights have a part in, in order; a normalized input is still the input."""
    known: set[int] = set()
    for node in graph.nodes:
        owns = node.is_layer and not isinstance(node.operation, (_layers.Normalization, *_NORMS))
        if (owns and node.operation.weights) or known.intersection(node.inputs):
            known.update(node.outputs)
    return sorted(known)


def _squeezed(graph: FlatGraph) -> set[int]:
    """Returns the tensors with a single position that something with more positions is made from."""
    spread: set[int] = set()
    found: set[int] = set()
    for node in reversed(graph.nodes):
        sizes = [positions_of(graph.tensors[tensor].shape) for tensor in node.outputs]
        reads_back = bool(spread.intersection(node.outputs))
        if reads_back and all(one is not None and set(one) == {1} for one in sizes):
            found.update(node.outputs)
        if reads_back or any(one is not None and set(one) != {1} for one in sizes):
            spread.update(node.inputs)
    return found


def _trunk(graph: FlatGraph) -> set[int]:
    """Returns the tensors that every way from the inputs to some output passes."""
    root = -1
    above: dict[int, int] = {}  # the nearest tensor that all ways to a tensor pass
    depth = {root: 0}

    def meeting(one: int, other: int) -> int:
        while one != other:
            if depth[one] < depth[other]:
                one, other = other, one
            one = above[one]
        return one

    for tensor in graph.input_ids():
        above[tensor], depth[tensor] = root, 1
    for node in graph.nodes:
        met = node.inputs[0] if node.inputs else root
        for tensor in node.inputs[1:]:
            met = meeting(met, tensor)
        for tensor in node.outputs:
            above[tensor], depth[tensor] = met, depth[met] + 1
    return {passed for end in graph.output_ids() for passed in _chain(end, above)}


def _chain(tensor: int, above: Mapping[int, int]) -> Iterator[int]:
    while tensor in above:
        yield tensor
        tensor = above[tensor]
