"""The operations that XNNPACK's sparse inference takes, and why it does not take another.

The rule is XNNPACK's (TensorFlow's `lite/delegates/xnnpack/README.md`, "Sparse Inference", and
`xnn_subgraph_rewrite_for_nchw` in XNNPACK's `src/subgraph.c`): values lie in NCHW between a first convolution
and a last reduction, and only some operations have kernels for that. Elsen et al. (2020), "Fast Sparse
ConvNets", describe the kernels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tfzip.tflite.file_graph import FileGraph, Operator, Tensor
from tfzip.tflite.unpacking import unpacked_constants, without_densify

ENDS = ("MEAN", "DEPTH_TO_SPACE")
"""What such a subgraph may end with."""

_UNARY = {
    *("ABS", "CEIL", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "ROUND", "SQUARE"),
}
_FUSED = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
_PREPARE = "tfzip.prepare_for_sparse(model) changes it; train on afterwards"
_ELSEWHERE = "leave it out, or move it behind the global pooling"
_SEPARABLE = "use a depthwise 3x3 or 5x5 and a 1x1 convolution"
Objection = tuple[str, str]
"""Why an operation is not taken, and what to do."""


@dataclass(frozen=True)
class Padding:
    """Zeros added around an image: top, bottom, left, right."""

    top: int
    bottom: int
    left: int
    right: int

    def is_each(self, size: int) -> bool:
        """Whether every side has that many."""
        return (self.top, self.bottom, self.left, self.right) == (size,) * 4

    def __str__(self) -> str:
        sides = (self.top, self.bottom, self.left, self.right)
        return "top {}, bottom {}, left {}, right {}".format(*sides)


class SparseView:
    """The main graph as XNNPACK sees it: constants unpacked, zero padding part of the convolution after it.

    Args:
        graph: From `read`.

    Attributes:
        subgraph: The main graph without DENSIFY.
        flow: Operations that compute, in order.
    """

    def __init__(self, graph: FileGraph) -> None:
        self.graph = graph
        self.subgraph = without_densify(graph).main
        self._constants = unpacked_constants(self.subgraph)
        self._pads: dict[int, Operator] = {}
        computing = [op for op in self.subgraph.operators if not self._unpacks(op)]
        for operator in computing:
            if self._is_drawn_in(operator, computing):
                self._pads[operator.outputs[0]] = operator
        drawn = {pad.index for pad in self._pads.values()}
        self.flow = tuple(operator for operator in computing if operator.index not in drawn)

    def _unpacks(self, operator: Operator) -> bool:
        return bool(operator.outputs) and operator.outputs[0] in self._constants

    def _is_drawn_in(self, pad: Operator, operators: list[Operator]) -> bool:
        """Whether XNNPACK draws a PAD into the one convolution that reads it."""
        if pad.name != "PAD" or self._padded(pad) is None or pad.outputs[0] in self.subgraph.outputs:
            return False
        readers = [one for one in operators if pad.outputs[0] in one.inputs]
        return (
            len(readers) == 1
            and readers[0].name in ("CONV_2D", "DEPTHWISE_CONV_2D")
            and readers[0].inputs[0] == pad.outputs[0]
            and readers[0].options.get("Padding") == "VALID"
        )

    def _padded(self, pad: Operator) -> Padding | None:
        amounts = self.constant(pad, 1)
        if amounts is None or amounts.shape != (4, 2) or amounts.is_sparse or not amounts.size_bytes:
            return None
        rows = self.graph.constant(amounts).tolist()
        return None if any(rows[0] + rows[3]) else Padding(*rows[1], *rows[2])

    def inputs(self, operator: Operator) -> tuple[int, ...]:
        """Returns the values that an operation reads, without constants and before padding drawn into it."""
        read = (
            self._pads[index].inputs[0] if index in self._pads else index
            for index in operator.inputs
            if index >= 0
        )
        return tuple(index for index in read if index not in self._constants)

    def constant(self, operator: Operator, place: int) -> Tensor | None:
        """Returns the constant that an operation reads at a place, or None."""
        index = operator.inputs[place] if place < len(operator.inputs) else -1
        return self._constants.get(index)

    def tensor(self, index: int) -> Tensor:
        """Returns a tensor of the main graph."""
        return self.subgraph.tensors[index]

    def padding(self, operator: Operator) -> Padding | None:
        """Returns the padding of a convolution on each side, or None where XNNPACK leaves it to the sizes."""
        if operator.options.get("Padding") == "VALID":
            pad = self._pads.get(operator.inputs[0])
            return (self._padded(pad) if pad else None) or Padding(0, 0, 0, 0)
        kernel = self.constant(operator, 1)
        if kernel is None or len(kernel.shape) != 4 or _strides(operator) != (1, 1):
            return None
        height, width = (size - 1 for size in kernel.shape[1:3])
        return Padding(height // 2, height - height // 2, width // 2, width - width // 2)


def objection(view: SparseView, operator: Operator, *, is_first: bool = False) -> Objection | None:
    """Returns why an operation does not fit into a sparse subgraph and what to do, or None when it fits.

    Args:
        view: The file.
        operator: One of `view.flow`.
        is_first: Whether it is the one that the subgraph begins with. Defaults to False.
    """
    if operator.options.get("FusedActivationFunction", "NONE") not in _FUSED:
        return f"its activation is {operator.options['FusedActivationFunction']}", "use ReLU or ReLU6"
    if is_first:
        return _first(view, operator)
    if operator.name in _UNARY:
        return None if _is_image(view, operator) else ("its input has not four axes", "apply it to images")
    rule = _RULES.get(operator.name)
    if rule is not None:
        return rule(view, operator)
    return "there is no sparse kernel for it", _INSTEAD.get(operator.name, _ELSEWHERE)


def _first(view: SparseView, operator: Operator) -> Objection | None:
    kernel, padding = view.constant(operator, 1), view.padding(operator)
    if operator.name != "CONV_2D" or kernel is None or kernel.shape[1:] != (3, 3, 3):
        shape = "x".join(map(str, kernel.shape[1:])) if kernel else "no"
        return f"the first convolution has a {shape} kernel where 3x3x3 is wanted", (
            "begin with Conv2D(filters, 3, strides=2) on an image of 3 channels"
        )
    if _strides(operator) != (2, 2) or _dilations(operator) != (1, 1):
        return "the first convolution has not stride 2 without dilation", "give it strides=2"
    return _padding_objection(padding, 1)


def _convolution(view: SparseView, operator: Operator) -> Objection | None:
    kernel = view.constant(operator, 1)
    if kernel is None or len(kernel.shape) != 4:
        return "its kernel is no constant", "use a layer with weights"
    if kernel.shape[1:3] != (1, 1):
        height, width = kernel.shape[1:3]
        return f"it is a {height}x{width} convolution where 1x1 is wanted", _SEPARABLE
    if kernel.shape[3] != view.tensor(operator.inputs[0]).shape[-1]:
        return "its channels are in groups", "use groups=1"
    if _strides(operator) != (1, 1):
        return "it is a 1x1 convolution with strides", "give it strides=1, and pool or stride elsewhere"
    padding = view.padding(operator)
    return None if padding is not None and padding.is_each(0) else _padding_objection(padding, 0)


def _depthwise(view: SparseView, operator: Operator) -> Objection | None:
    kernel = view.constant(operator, 1)
    size = kernel.shape[1] if kernel is not None and len(kernel.shape) == 4 else 0
    if kernel is None or size not in (3, 5) or kernel.shape[2] != size:
        return "its kernel is neither 3x3 nor 5x5", "use a depthwise 3x3 or 5x5 convolution"
    if kernel.shape[3] != view.tensor(operator.inputs[0]).shape[-1]:
        return "it makes several channels of one", "use depth_multiplier=1"
    if _dilations(operator) != (1, 1) or _strides(operator) not in ((1, 1), (2, 2)):
        return f"it has strides {_strides(operator)} or is dilated", "use strides of 1 or 2 and no dilation"
    return _padding_objection(view.padding(operator), size // 2)


def _padding_objection(padding: Padding | None, wanted: int) -> Objection | None:
    if padding is None:
        why = f"padding 'same' with strides, where {wanted} on each side is wanted"
        return why, _PREPARE
    if padding.is_each(wanted):
        return None
    return f"padding of {padding}, where {wanted} on each side is wanted", _PREPARE


def _mean(view: SparseView, operator: Operator) -> Objection | None:
    axes = view.constant(operator, 1)
    known = axes is not None and axes.size_bytes > 0 and not axes.is_sparse
    found = sorted(view.graph.constant(axes).reshape(-1).tolist()) if known and axes is not None else []
    if found not in ([1, 2], [-3, -2]) or not _is_image(view, operator):
        return f"it averages over axes {found}", "average over height and width"
    if not operator.options.get("KeepDims"):
        return "it drops the axes it averages over", (
            "GlobalAveragePooling2D(keepdims=True) and Flatten, as tfzip.prepare_for_sparse(model) writes it"
        )
    return None


def _binary(view: SparseView, operator: Operator) -> Objection | None:
    if not all(len(tensor.shape) == 4 for tensor in view.subgraph.tensors_of(operator.inputs)):
        return "an input has not four axes", "combine images with images"
    for place in range(len(operator.inputs)):
        constant = view.constant(operator, place)
        if constant is not None and (place > 0 or sum(size != 1 for size in constant.shape) > 1):
            return "it combines an image with a constant", "fold the constant into the convolution before it"
    return None


def _resize(view: SparseView, operator: Operator) -> Objection | None:
    given = view.tensor(operator.inputs[0]).shape
    return (
        None if len(given) == 4 and min(given[1:3]) > 1 else ("its image has one row", "resize larger images")
    )


def _taken(view: SparseView, operator: Operator) -> Objection | None:  # noqa: ARG001 (as the other rules)
    return None


_RULES: Mapping[str, Callable[[SparseView, Operator], Objection | None]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MEAN": _mean,
    "ADD": _binary,
    "MUL": _binary,
    "RESIZE_BILINEAR": _resize,
    "DEPTH_TO_SPACE": _taken,
}
_INSTEAD = {
    "PAD": "let one convolution with padding='valid' read it and nothing else",
    "AVERAGE_POOL_2D": "stride in a depthwise convolution instead",
    "MAX_POOL_2D": "stride in a depthwise convolution instead",
    "CONCATENATION": "add instead of concatenating",
}


def _is_image(view: SparseView, operator: Operator) -> bool:
    return len(view.tensor(operator.inputs[0]).shape) == 4


def _strides(operator: Operator) -> tuple[int, int]:
    return operator.options.get("StrideH", 1), operator.options.get("StrideW", 1)


def _dilations(operator: Operator) -> tuple[int, int]:
    return operator.options.get("DilationHFactor", 1), operator.options.get("DilationWFactor", 1)
