"""Kernels as the file holds them: which layers have one, along which axes, and batch normalization folded in.

The one table of layers with kernels that LiteRT stores per output channel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.graph.channelwise import Channelwise
from tfzip.graph.flat_graph import FlatGraph, FlatNode
from tfzip.graph.lowering import Lowering
from tfzip.schemes import Scheme, TensorFormat

_LAST, _DEPTHWISE, _TRANSPOSED = (-1,), (-2, -1), (-2,)
_KERNELS: Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Dense"), (("kernel", _LAST),)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), (("kernel", _DEPTHWISE),)),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), (("kernel", _TRANSPOSED),)),
    **dict.fromkeys(
        ("SeparableConv1D", "SeparableConv2D"),
        (("depthwise_kernel", _DEPTHWISE), ("pointwise_kernel", _LAST)),
    ),
}


_WIDE = frozenset(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"))
_WIDE_BITS = 8


@dataclass(frozen=True)
class WeightGroup:
    """A kernel and what the converter folds into it: one weighted operation of the file.

    Attributes:
        key: Path of the layer and the kernel's name: `stem/conv/kernel`; `...#2` at a layer's second call.
        path: Path of the layer.
        layer: The layer.
        kernel: Its variable.
        axes: Axes of the kernel that together count output channels, in order, from the end.
        norm: The batch normalization that is folded in, if any.
        nodes: Indices in the graph of the layer and of all that is folded into it, in order.
        after: The products and sums with constants that are folded in behind `norm`, in order.
        in_kernel: Those of them that change kernel and bias: `norm` and `after`.
    """

    key: str
    path: str
    layer: keras.Layer
    kernel: keras.Variable
    axes: tuple[int, ...]
    norm: keras.layers.BatchNormalization | None
    nodes: tuple[int, ...]
    after: tuple[Channelwise, ...] = ()
    in_kernel: tuple[int, ...] = ()

    def form(self, scheme: Scheme) -> TensorFormat:
        """Returns the format of this kernel in a file: 8 bits where LiteRT has no kernel for fewer."""
        form = scheme.weights_of(self.path)
        is_hybrid_depthwise = self.axes == _DEPTHWISE and scheme.activations.kind == "float"
        is_wide = type(self.layer).__name__ in _WIDE or is_hybrid_depthwise
        return replace(form, bits=_WIDE_BITS) if is_wide and form.bits < _WIDE_BITS else form

    @property
    def bias(self) -> keras.Variable | None:
        """The bias that is added to this kernel's result before the normalization."""
        is_first_of_two = self.axes == _DEPTHWISE and hasattr(self.layer, "pointwise_kernel")
        return None if is_first_of_two else getattr(self.layer, "bias", None)

    def factor(self) -> NDArray[np.float32] | None:
        """Returns what each output channel is multiplied by, or `None` if by nothing."""
        factor = None
        if self.norm is not None:
            variance = np.asarray(self.norm.moving_variance, np.float32)
            root = keras.ops.rsqrt(variance + np.float32(self.norm.epsilon))  # as the converter does
            factor = np.asarray(root)
            factor = factor * np.asarray(self.norm.gamma, np.float32) if self.norm.scale else factor
        for one in self.after:
            if one.factor is not None:
                factor = np.ones(self.channels, np.float32) if factor is None else factor
                factor = factor * np.asarray(one.factor, np.float32)
        return factor

    def folded_kernel(self) -> NDArray[np.float32]:
        """Returns the kernel the file holds, in Keras' layout."""
        kernel, factor = np.asarray(self.kernel, np.float32), self.factor()
        return kernel if factor is None else kernel * self.along_channels(factor)

    def folded_bias(self) -> NDArray[np.float32]:
        """Returns the bias the file holds: (channels,)."""
        bias = np.zeros(self.channels, np.float32) if self.bias is None else np.asarray(self.bias, np.float32)
        if self.norm is not None:
            beta = np.asarray(self.norm.beta) if self.norm.center else 0.0
            normalized = replace(self, after=()).factor()
            bias = (bias - np.asarray(self.norm.moving_mean)) * normalized + beta
        for one in self.after:
            bias = bias if one.factor is None else bias * np.asarray(one.factor, np.float32)
            bias = bias if one.shift is None else bias + np.asarray(one.shift, np.float32)
        return np.asarray(bias, np.float32)

    def unfolded_bias(self, amount: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns what to add to the layer's shift so that the file's bias grows by `amount`: (channels,)."""
        outer = replace(self, norm=None).factor()
        if outer is None:
            return amount
        return np.asarray(np.where(outer != 0, amount / np.where(outer != 0, outer, 1), 0.0), np.float32)

    def set_folded_kernel(self, folded: NDArray[np.float32]) -> None:
        """Changes the layer's kernel so that the file will hold `folded`; dead channels stay as they are."""
        factor = self.factor()
        if factor is not None:
            factor = self.along_channels(factor)
            alive = factor != 0
            folded = np.where(alive, folded / np.where(alive, factor, 1.0), np.asarray(self.kernel))
        self.kernel.assign(folded)

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return int(np.prod([self.kernel.shape[axis] for axis in self.axes]))

    def along_channels(self, values: Any) -> Any:
        """Returns one number per channel in a shape that broadcasts against the kernel."""
        rank = len(self.kernel.shape)
        axes = {axis % rank for axis in self.axes}
        shape = [size if axis in axes else 1 for axis, size in enumerate(self.kernel.shape)]
        return values.reshape(shape) if isinstance(values, np.ndarray) else keras.ops.reshape(values, shape)

    def by_channel(self, kernel: NDArray[Any]) -> NDArray[Any]:
        """Returns the kernel with one row for each output channel: (channels, weights of a channel)."""
        rank = len(kernel.shape)
        axes = [axis % rank for axis in self.axes]
        rest = [axis for axis in range(rank) if axis not in axes]
        return kernel.transpose(axes + rest).reshape(self.channels, -1)


def has_kernel(operation: keras.Operation) -> bool:
    """Whether an operation is a stock layer with kernels in the table."""
    return type(operation).__name__ in _KERNELS and type(operation).__module__.split(".")[0] == "keras"


def weight_groups(graph: FlatGraph) -> list[WeightGroup]:
    """Returns the weighted operations of a graph in order of execution.

    Args:
        graph: A flat graph with known sizes: `flatten(model, batch=1)`.
    """
    lowering = Lowering(graph, {})
    groups: list[WeightGroup] = []
    calls: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        if not has_kernel(node.operation):
            continue
        calls[node.path] = calls.get(node.path, 0) + 1
        suffix = f"#{calls[node.path]}" if calls[node.path] > 1 else ""
        followers = lowering.folded_after(index)
        norms = [n.operation for n in (graph.nodes[i] for i in followers) if _is_norm(n)]
        after = tuple(lowering.constants[i] for i in followers if i in lowering.constants)
        in_kernel = tuple(i for i in followers if _is_norm(graph.nodes[i]) or i in lowering.constants)
        names = _KERNELS[type(node.operation).__name__]
        for name, axes in names:
            is_last = (name, axes) == names[-1]
            groups.append(
                WeightGroup(
                    f"{node.path}/{name}{suffix}",
                    node.path,
                    node.operation,
                    getattr(node.operation, name),
                    axes,
                    norms[0] if norms and is_last else None,
                    (index, *followers) if is_last else (index,),
                    after if is_last else (),
                    in_kernel if is_last else (),
                )
            )
    return groups


def _is_norm(node: FlatNode) -> bool:
    return isinstance(node.operation, keras.layers.BatchNormalization)
