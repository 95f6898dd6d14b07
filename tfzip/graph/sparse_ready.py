"""A model whose file XNNPACK's sparse inference can take, where changes of single layers are enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from tfzip.graph.flat_graph import FlatGraph, FlatNode
from tfzip.graph.flatten import flatten
from tfzip.graph.rebuild import Rebuild, cloned
from tfzip.graph.walk import unique_name

_ONE_STEP = ((1, 1), (2, 2))


def prepare_for_sparse(model: keras.Model) -> keras.Model:
    """Returns a model with the same weights and the padding and pooling that sparse kernels want.

    XNNPACK's sparse kernels want as many zeros on each side of an image, and a global average that keeps its
    axes. So

    - a convolution of stride 2 with padding `"same"` becomes `ZeroPadding2D(size // 2)` and padding
      `"valid"`;
    - `ZeroPadding2D(((0, 1), (0, 1)))` in front of such a convolution, as in Keras' own MobileNets, pads by
      one on each side;
    - `GlobalAveragePooling2D` keeps its axes and `Flatten` drops them;
    - a convolution of a single pixel behind the last global average becomes `Dense` between `Flatten` and
      `Reshape`, without which XNNPACK on ARM cannot load the file.

    The last two are always exact. On images of an even size Keras pads below and to the right only, so the
    first two **move the image by one pixel** under the kernel: outputs change, and the model has to be
    trained on. Shapes stay in any case. Images of an odd size have even padding already, which TensorFlow's
    converter writes as `"same"` whatever the model says; their layers are left as they are.

    What else blocks, `tfzip.sparse_advice` says of the file.

    Args:
        model: A built model; it is left as it was.

    Returns:
        A flat Functional model of plain Keras layers. It is not compiled.

    Raises:
        ModelError: The model cannot be flattened, or a layer cannot be made again from its config.

    Example:
        >>> ready = tfzip.prepare_for_sparse(keras.applications.MobileNetV2((96, 96, 3), 0.35))
    """
    graph = flatten(model)
    return _SparseReady(graph, _changes(graph)).run()


@dataclass(frozen=True)
class _Change:
    """What becomes of a layer.

    Attributes:
        config: Entries of its config that change.
        zeros: Rows and columns of zeros to add on each side before it.
        flat: Whether the axes that it keeps are dropped behind it.
        dense: Whether it is a convolution that becomes `Dense`.
    """

    config: Mapping[str, Any]
    zeros: int = 0
    flat: bool = False
    dense: bool = False


class _SparseReady(Rebuild):
    """A rebuild in which some layers have other padding."""

    def __init__(self, graph: FlatGraph, changes: Mapping[int, _Change]) -> None:
        super().__init__(graph, None, share_weights=False)
        self.changes = changes

    def make_layer(self, node: FlatNode, name: str) -> keras.Layer:
        change = self.changes.get(id(node.operation), _Change({}))
        if change.dense:
            layer = node.operation
            return keras.layers.Dense(
                layer.filters, layer.activation, use_bias=layer.use_bias, name=name, dtype=layer.dtype_policy
            )
        return cloned(node.operation, name, None, node.path, lambda config: {**config, **change.config})

    def call(self, operation: Any, node: FlatNode, args: Any, kwargs: Any) -> Any:
        change = self.changes.get(id(node.operation), _Change({}))
        if change.zeros:
            padded = keras.layers.ZeroPadding2D(change.zeros, name=self._extra(node, "pad"))
            args = (padded(args[0]), *args[1:])
        if change.dense:
            flat = keras.layers.Flatten(name=self._extra(node, "flat"))(args[0])
            shaped = keras.layers.Reshape((1, 1, operation.units), name=self._extra(node, "shape"))
            return shaped(operation(flat))
        made = operation(*args, **kwargs)
        return keras.layers.Flatten(name=self._extra(node, "flat"))(made) if change.flat else made

    def copy_state(self, old: keras.Layer, new: keras.Layer) -> None:
        if not self.changes.get(id(old), _Change({})).dense:
            super().copy_state(old, new)
            return
        new.kernel.assign(old.kernel[0, 0])
        if old.use_bias:
            new.bias.assign(old.bias)

    def _extra(self, node: FlatNode, what: str) -> str:
        return unique_name(f"{node.path.replace('/', '_')}_{what}", self.names)


def _changes(graph: FlatGraph) -> dict[int, _Change]:
    """Returns the changes by the id of the layer; one that is called elsewhere too stays as it is."""
    found: dict[int, list[_Change | None]] = {}
    for node in graph.nodes:
        found.setdefault(id(node.operation), []).append(_change(graph, node))
    return {key: calls[0] for key, calls in found.items() if calls[0] and calls.count(calls[0]) == len(calls)}


def _change(graph: FlatGraph, node: FlatNode) -> _Change | None:
    layer = node.operation
    if not node.args or getattr(layer, "data_format", "") != "channels_last":
        return None
    if type(layer) is keras.layers.GlobalAveragePooling2D and not layer.keepdims:
        return _Change({"keepdims": True}, flat=True)
    if type(layer) is keras.layers.ZeroPadding2D:
        return _even_padding(graph, node)
    if _is_of_one_pixel(graph, node) and not _leads_to_an_average(graph, node):
        return _Change({}, dense=True)
    zeros = _wanted(graph, node)
    is_uneven = bool(zeros) and layer.padding == "same" and _is_even(graph, node)
    return _Change({"padding": "valid"}, zeros) if is_uneven else None


def _is_of_one_pixel(graph: FlatGraph, node: FlatNode) -> bool:
    """Whether a node is a convolution without a window that reads a single pixel."""
    layer = node.operation
    if type(layer) is not keras.layers.Conv2D or layer.groups > 1 or tuple(layer.kernel_size) != (1, 1):
        return False
    return tuple(graph.tensors[node.inputs[0]].shape[1:3]) == (1, 1)


def _leads_to_an_average(graph: FlatGraph, node: FlatNode) -> bool:
    """Whether a global average is computed from what a node computes, as behind squeeze and excitation."""
    consumers, waiting, seen = graph.consumers(), list(node.outputs), set[int]()
    while waiting:
        for index in consumers[waiting.pop()]:
            if index in seen:
                continue
            seen.add(index)
            if type(graph.nodes[index].operation) is keras.layers.GlobalAveragePooling2D:
                return True
            waiting += graph.nodes[index].outputs
    return False


def _even_padding(graph: FlatGraph, node: FlatNode) -> _Change | None:
    """Evens out zeros of one more at the end than at the begin, where images of an even size keep theirs."""
    readers = [graph.nodes[index] for index in graph.consumers()[node.outputs[0]]]
    if node.outputs[0] in graph.output_ids() or not readers or not _is_even(graph, node):
        return None
    wanted = {
        _wanted(graph, reader) if getattr(reader.operation, "padding", "") == "valid" else 0
        for reader in readers
    }
    zeros = wanted.pop() if len(wanted) == 1 else 0
    uneven = (zeros - 1, zeros)
    if not zeros or node.operation.padding != (uneven, uneven):
        return None
    return _Change({"padding": ((zeros, zeros), (zeros, zeros))})


def _is_even(graph: FlatGraph, node: FlatNode) -> bool:
    """Whether a node reads images of a known and even size."""
    return all(size is not None and size % 2 == 0 for size in graph.tensors[node.inputs[0]].shape[1:3])


def _wanted(graph: FlatGraph, node: FlatNode) -> int:
    """Returns the zeros on each side that a strided convolution wants; 0 for what has no sparse kernel."""
    layer = node.operation
    channels = graph.tensors[node.inputs[0]].shape[-1] if node.inputs else None
    first = type(layer) is keras.layers.Conv2D and layer.groups == 1 and channels == 3
    depthwise = type(layer) is keras.layers.DepthwiseConv2D and layer.depth_multiplier == 1
    if not (first or depthwise) or (tuple(layer.dilation_rate), tuple(layer.strides)) != _ONE_STEP:
        return 0
    kernel = tuple(layer.kernel_size)
    return kernel[0] // 2 if kernel == (3, 3) or (depthwise and kernel == (5, 5)) else 0
