"""Layers and activations as they are traced for a file: with operations that LiteRT has integer kernels for.

Where the simulation has a contract of several steps, the same contract is traced, so that the file computes
those steps and no others.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfzip.graph.flat_graph import FlatNode
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract_of
from tfzip.quantization.contracts.curves import CURVES
from tfzip.quantization.emitters import Emitter, Value

Function = Callable[..., Any]
_BY_CONTRACT = ("LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization")


def written_out(layer: Any) -> dict[str, Function]:
    """Returns the attributes of an operation that are replaced by functions while it is traced for integers.

    Args:
        layer: Any layer, or a `keras.ops` operation of a graph. Those of another author are left as they are.

    Returns:
        Functions by name of the attribute they replace; nothing for most.
    """
    kind = type(layer).__name__ if type(layer).__module__.split(".")[0] == "keras" else ""
    if kind in _BY_CONTRACT:
        return {"call": lambda x, training=None: _by_contract(layer, x)}  # noqa: ARG005
    if kind == "Conv3D" and layer.groups == 1 and layer.data_format == "channels_last":
        return {"call": lambda x, training=None: conv3d(layer, x)}  # noqa: ARG005
    if kind == "Masking":
        return {
            "call": lambda x, training=None: masked(layer, x),  # noqa: ARG005
            "compute_mask": lambda x, mask=None: ops.any(_differ(x, layer.mask_value), axis=-1),  # noqa: ARG005
        }
    if kind in _OPERATIONS and not isinstance(layer, keras.Layer):
        return {"call": _OPERATIONS[kind]}
    if kind.lower() in CURVES:
        return {"call": lambda x: CURVES[kind.lower()](_call(layer, x), Value(x, "")).tensor}
    curve = CURVES.get(str(getattr(getattr(layer, "activation", None), "__name__", "")))
    if curve is not None and layer.activation.__module__.split(".")[0] == "keras":
        return {"activation": lambda x: curve(_call(layer, x), Value(x, "")).tensor}
    return {}


def pooled_in_two_steps(layer: Any) -> dict[str, Function]:
    """Returns the `call` of a pooling over volumes, for which LiteRT has no kernel: planes, then depth.

    Args:
        layer: Any layer; nothing is returned for others.
    """
    pool = {keras.layers.MaxPooling3D: ops.max_pool, keras.layers.AveragePooling3D: ops.average_pool}.get(
        type(layer)
    )
    if pool is None or layer.data_format != "channels_last":
        return {}

    def call(x: Any, training: bool | None = None) -> Any:  # noqa: ARG001
        _, depth, height, width, channels = x.shape
        sizes, strides = layer.pool_size, layer.strides
        x = ops.reshape(x, (-1, height, width, channels))
        x = pool(x, sizes[1:], strides[1:], layer.padding, "channels_last")
        height, width = x.shape[1:3]
        x = ops.reshape(x, (-1, depth, height * width, channels))
        x = pool(x, (sizes[0], 1), (strides[0], 1), layer.padding, "channels_last")
        return ops.reshape(x, (-1, x.shape[1], height, width, channels))

    return {"call": call}


def conv3d(layer: Any, x: Any) -> Any:
    """Returns a convolution of a volume: one of planes whose channels are all slices that a kernel sees."""
    deep, high, wide, channels, filters = layer.kernel.shape
    dilation, strides = layer.dilation_rate, layer.strides
    if layer.padding == "same":
        x = ops.pad(x, [(0, 0), _same_padding(x.shape[1], deep, strides[0], dilation[0]), *[(0, 0)] * 3])
    count = (x.shape[1] - (deep - 1) * dilation[0] - 1) // strides[0] + 1
    ends = [tap * dilation[0] + (count - 1) * strides[0] + 1 for tap in range(deep)]
    slices = [x[:, tap * dilation[0] : end : strides[0]] for tap, end in enumerate(ends)]
    planes = ops.reshape(ops.concatenate(slices, axis=-1), (-1, *x.shape[2:4], deep * channels))
    kernel = ops.reshape(ops.transpose(layer.kernel, (1, 2, 0, 3, 4)), (high, wide, deep * channels, filters))
    result = ops.conv(planes, kernel, strides[1:], layer.padding, "channels_last", dilation[1:])
    result = result if layer.bias is None else result + layer.bias
    result = ops.reshape(result, (-1, count, *result.shape[1:]))
    return result if layer.activation is None else layer.activation(result)


def masked(layer: Any, x: Any) -> Any:
    """Returns the input of `Masking` with zeros where it is masked."""
    is_kept = ops.any(_differ(x, layer.mask_value), axis=-1, keepdims=True)
    return ops.where(is_kept, x, ops.zeros_like(x))


def _differ(x: Any, y: Any) -> Any:
    """Returns `x != y`, for which TensorFlow's quantizer writes no integers."""
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        return ops.not_equal(x, y)
    return ops.logical_or(x > y, x < y)


def _negated(x: Any) -> Any:
    return (
        x * -1 if keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)) else ops.negative(x)
    )


_OPERATIONS: dict[str, Function] = {"NotEqual": _differ, "Negative": _negated, "Square": lambda x: x * x}


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _by_contract(layer: keras.Layer, x: Any) -> Any:
    call = _call(layer, x)
    result = contract_of(call.node)(call)
    return result.tensor if isinstance(result, Value) else result[0].tensor


def _call(layer: keras.Layer, x: Any) -> Call:
    """Returns one call of a layer that keeps every tensor as it is."""
    return Call(
        node=FlatNode("", layer, (), {}, (0,), (1,)),
        inputs=(Value(x, ""),),
        key="",
        path="",
        emitter=Emitter(),
        groups=(),
        batch_statistics=False,
        tail=lambda tensor: tensor,
        compute=lambda tensors: type(layer).call(layer, *tensors),
    )
