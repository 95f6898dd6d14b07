"""Convolutions and dense layers: kernels with batch normalization and activation folded in.

While batch normalization still learns, the kernel is rounded with the running statistics folded in, and the
result is divided by the folded factor again before the normalization of the batch is applied (Krishnamoorthi
2018, "Quantizing deep convolutional networks for efficient inference", section 3.2.2). Once statistics are
frozen, it is exactly the convolution and the bias of the file.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import keras
from keras import ops

from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Kernel, Value
from tfzip.quantization.weighted import WeightGroup

_WEIGHTED = (
    *("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dense"),
    *("DepthwiseConv1D", "DepthwiseConv2D"),
)


@contract(*_WEIGHTED)
def weighted(call: Call) -> Value:
    """One kernel."""
    layer, group, source = call.layer, call.groups[0], call.inputs[0]

    def apply(tensor: Any, kernel: Any) -> Any:
        return _product(layer, tensor, kernel)

    return _activated(call, _with_kernel(call, group, source, apply))


@contract("SeparableConv1D", "SeparableConv2D")
def separable(call: Call) -> Value:
    """A depthwise and a pointwise kernel, with a stored tensor between them."""
    layer, (depthwise, pointwise), source = call.layer, call.groups, call.inputs[0]

    def spread(tensor: Any, kernel: Any) -> Any:
        return ops.depthwise_conv(_padded(layer, tensor), kernel, **_geometry(layer))

    between = call.emit("depthwise", _with_kernel(call, depthwise, source, spread))

    def mix(tensor: Any, kernel: Any) -> Any:
        return ops.conv(tensor, kernel, padding="valid", data_format=layer.data_format)

    return _activated(call, _with_kernel(call, pointwise, between, mix))


def _with_kernel(call: Call, group: WeightGroup, source: Value, apply: Callable[[Any, Any], Any]) -> Any:
    """Returns the result of an operation with the kernel and bias that the file holds."""
    layer, norm = call.layer, group.norm
    kernel = ops.cast(full_precision(group.kernel), "float32")
    bias = None if group.bias is None else ops.cast(full_precision(group.bias), "float32")

    def align(values: Any) -> Any:
        return _aligned(layer, values, len(source.tensor.shape))

    inner = ops.ones([group.channels]) if norm is None else _factor(norm)
    factor = reduce(
        ops.multiply, (_constant(one.factor) for one in group.after if one.factor is not None), inner
    )
    if group.in_kernel:
        kernel = kernel * group.along_channels(factor)
    if norm is not None and norm.trainable and call.batch_statistics:
        stored, _ = call.emitter.weight(group, kernel)
        result = apply(source.tensor, ops.cast(stored, source.tensor.dtype))
        alive = ops.where(factor == 0, ops.ones_like(factor), factor)
        result = result / ops.cast(align(alive), result.dtype)
        result = result if bias is None else result + ops.cast(align(bias), result.dtype)
        result = norm(result, training=True)
        return _scaled(group, result, align)
    if norm is not None:
        mean = ops.cast(full_precision(norm.moving_mean), "float32")
        shift = ops.cast(full_precision(norm.beta), "float32") if norm.center else 0.0
        bias = ((0.0 if bias is None else bias) - mean) * inner + shift
    if group.after:
        bias = _scaled(group, ops.zeros([group.channels]) if bias is None else bias, lambda one: one)
    return call.emitter.linear(source, Kernel(group, kernel, bias, align), apply)


def _scaled(group: WeightGroup, values: Any, align: Callable[[Any], Any]) -> Any:
    """Returns values after the products and sums that are folded in behind."""
    for one in group.after:
        factor, shift = _constant(one.factor), _constant(one.shift)
        values = values if factor is None else values * ops.cast(align(factor), values.dtype)
        values = values if shift is None else values + ops.cast(align(shift), values.dtype)
    return values


def _constant(given: Any) -> Any:
    """Returns numbers along the channels, or one for all, as they are stored now; `None` for none."""
    if given is None:
        return None
    return ops.cast(full_precision(given) if isinstance(given, keras.Variable) else given, "float32")


def _factor(norm: Any) -> Any:
    inverse = ops.rsqrt(ops.cast(full_precision(norm.moving_variance), "float32") + norm.epsilon)
    return inverse * ops.cast(full_precision(norm.gamma), "float32") if norm.scale else inverse


def _aligned(layer: Any, values: Any, rank: int) -> Any:
    """Returns one number per channel in a shape that broadcasts against the layer's result."""
    if getattr(layer, "data_format", "channels_last") == "channels_last" or not values.shape.rank:
        return values
    return ops.reshape(values, (1, -1) + (1,) * (rank - 2))


def _activated(call: Call, result: Any) -> Value:
    activation = getattr(call.layer, "activation", None)
    if activation is None or activation is keras.activations.linear:
        return call.result(result)
    return activated(call, result, activation)


def activated(call: Call, tensor: Any, activation: Any) -> Value:
    """Returns the result of a layer that ends in an activation of its own."""
    from tfzip.quantization.contracts.activations import activate

    return activate(call, tensor, activation)


def _product(layer: Any, tensor: Any, kernel: Any) -> Any:
    if isinstance(layer, keras.layers.Dense):
        return ops.matmul(tensor, kernel)
    if type(layer).__name__.endswith("Transpose"):
        return ops.conv_transpose(tensor, kernel, output_padding=layer.output_padding, **_geometry(layer))
    tensor = _padded(layer, tensor)
    if type(layer).__name__.startswith("Depthwise"):
        return ops.depthwise_conv(tensor, kernel, **_geometry(layer))
    return ops.conv(tensor, kernel, **_geometry(layer))


def _geometry(layer: Any) -> dict[str, Any]:
    padding = "valid" if layer.padding == "causal" else layer.padding
    names = ("strides", "dilation_rate", "data_format")
    return {"padding": padding} | {name: getattr(layer, name) for name in names}


def _padded(layer: Any, tensor: Any) -> Any:
    if layer.padding != "causal":
        return tensor
    before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    time = [before, 0]
    return ops.pad(
        tensor, [[0, 0], time, [0, 0]] if layer.data_format == "channels_last" else [[0, 0], [0, 0], time]
    )
