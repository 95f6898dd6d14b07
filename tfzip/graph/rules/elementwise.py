"""Operations on each number, or on the numbers at the same place of several tensors."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfzip.graph.channel_trace import Axes, Barrier, ChannelCall
from tfzip.graph.flat_graph import TensorRef
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule
from tfzip.graph.rules.activations import activated

_LAYERS = (
    *("ReLU", "LeakyReLU", "ELU", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "Masking"),
    "StochasticDepth",
)
_OPERATIONS = (
    *("Abs", "Absolute", "Cast", "Ceil", "Celu", "ConvertToTensor", "Copy", "Cos", "Elu", "Erf"),
    *("Exp", "Exp2", "Expm1", "Floor", "Gelu", "HardShrink", "HardSigmoid", "HardSilu", "HardTanh"),
    *(
        "LeakyRelu",
        "Log",
        "Log1p",
        "LogSigmoid",
        "Mish",
        "Negative",
        "Normalize",
        "Reciprocal",
        "Relu",
        "Relu6",
    ),
    *("Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "SoftShrink", "Softplus", "Softsign"),
    *("SparsePlus", "Sqrt", "Square", "Squareplus", "StopGradient", "Tanh", "TanhShrink", "Threshold"),
)
_SEVERAL = (
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Divide", "TrueDivide", "Power"),
    *("SquaredDifference", "Where", "Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"),
    *("LogicalAnd", "LogicalOr", "Hypot", "Logaddexp", "DivideNoNan", "CustomScaleLayer"),
)


@rule(*_LAYERS, *_OPERATIONS)
def each_alone(call: ChannelCall) -> Sequence[Axes]:
    """Each number for itself, or over the root of a sum of squares, to which zeros add nothing."""
    return [call.unchanged()]


@rule("Dropout", "AlphaDropout")
def dropout(call: ChannelCall) -> Sequence[Axes]:
    """Each number for itself; the shape of its noise may hold the number of channels."""
    if call.layer.noise_shape is not None:

        def edit(config: dict[str, Any], kept: Kept) -> dict[str, Any]:
            sizes = zip(call.layer.noise_shape, call.inputs[0], strict=True)
            return config | {
                "noise_shape": [
                    size if size in (None, 1) or labels is None else kept.count(labels)
                    for size, labels in sizes
                ]
            }

        call.edits.config.append(edit)
    return [call.unchanged()]


@rule("Clip")
def clip(call: ChannelCall) -> Sequence[Axes]:
    """Each number for itself, between two that are the same for all."""
    if np.ndim(call.layer.x_min) or np.ndim(call.layer.x_max):
        raise Barrier("it has bounds for each channel")
    return [call.unchanged()]


@rule("Activation")
def activation(call: ChannelCall) -> Sequence[Axes]:
    """Each number for itself, or all of the last axis together."""
    activated(call, call.inputs[0][-1], call.layer.activation)
    return [call.unchanged()]


@rule("Softmax", "LogSoftmax", "Sparsemax", "Cumsum", "Cumprod", "Sort", "Flip", "Roll")
def along_one_axis(call: ChannelCall) -> Sequence[Axes]:
    """The numbers of one axis together, those of the others alone."""
    axis = call.layer.axis
    for place in [axis] if isinstance(axis, int) else list(axis or range(len(call.inputs[0]))):
        call.fix((call.inputs[0][place],), "it mixes channels")
    return [call.unchanged()]


@rule("PReLU")
def with_slopes(call: ChannelCall) -> Sequence[Axes]:
    """Each number for itself, with a slope for each place that is not shared."""
    for axis, size in enumerate(call.layer.alpha.shape):
        if size > 1:
            call.bind(call.layer.alpha, axis, call.inputs[0][axis + 1])
    return [call.unchanged()]


@rule("LayerScale")
def with_factors(call: ChannelCall) -> Sequence[Axes]:
    """A factor for each channel."""
    call.bind(call.layer.gamma, 0, call.inputs[0][-1])
    call.counts("projection_dim", call.inputs[0][-1])
    return [call.unchanged()]


@rule("Rescaling")
def rescaling(call: ChannelCall) -> Sequence[Axes]:
    """One factor for all, or one for each channel."""
    if any(np.ndim(value) for value in (call.layer.scale, call.layer.offset)):
        raise Barrier("it has a factor for each channel in its config")
    return [call.unchanged()]


@rule(*_SEVERAL)
def several(call: ChannelCall) -> Sequence[Axes]:
    """The numbers at one place of all tensors; an axis of size 1 serves all places."""
    rank = len(call.results[0])
    axes = [
        _common(call, axis - rank, [(len(shape), shape, known) for shape, known in _tensors(call)])
        for axis in range(rank)
    ]
    for place, argument in enumerate(call.node.args):
        if _is_array(argument):
            _cut(call, place, argument, axes)
        elif isinstance(argument, keras.Variable):
            call.fix(tuple(axes), "it uses a variable that belongs to no stock layer")
    return [tuple(axes)]


def _tensors(call: ChannelCall) -> list[tuple[tuple[int | None, ...], Axes]]:
    return list(zip(call.shapes, call.inputs, strict=True))


def _common(call: ChannelCall, axis: int, tensors: list[Any]) -> Labels | None:
    """Unites one axis, counted from the right, of all tensors that have it."""
    have = [(shape[axis], known[axis]) for rank, shape, known in tensors if rank >= -axis]
    call.fix(tuple(labels for size, labels in have if size == 1), "it serves all places of another axis")
    spans = [(size, labels) for size, labels in have if size != 1]
    found = [labels for _, labels in spans if labels is not None]
    if len(found) < len(spans):
        call.fix(tuple(found), "it joins them with channels that stay")
        return None
    for labels in found[1:]:
        call.positions.unite(found[0], labels)
    return found[0] if found else None


def _is_array(argument: Any) -> bool:
    is_other = isinstance(argument, TensorRef | keras.Variable | str | bool | int | float)
    return not is_other and (isinstance(argument, np.ndarray | list | tuple) or keras.ops.is_tensor(argument))


def _cut(call: ChannelCall, place: int, constant: Any, axes: Sequence[Labels | None]) -> None:
    """Cuts a constant argument along with what it is combined with."""
    if isinstance(constant, list | tuple) and any(isinstance(one, TensorRef) for one in constant):
        return
    values = np.asarray(constant)

    def edit(args: Any, kwargs: Any, kept: Kept) -> Any:
        cut = values
        for axis in range(-values.ndim, 0):
            labels = axes[axis]
            if labels is not None and values.shape[axis] > 1:
                cut = np.compress(kept.mask(labels), cut, axis=axis)
        return (*args[:place], cut, *args[place + 1 :]), kwargs

    call.edits.arguments.append(edit)
