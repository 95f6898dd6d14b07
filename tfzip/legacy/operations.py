"""TensorFlow operations that Keras 2 recorded in a graph, as `keras.ops`.

Each entry takes the arguments of the TensorFlow function by their names there. A shape, where TensorFlow
has a tensor, is a tuple of numbers with None for a dimension left open, so that parts of it can be put
together again.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from tfzip.errors import ModelError, one_line

Operation = Callable[..., Any]


def apply_operation(layer: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Applies the counterpart of a recorded TensorFlow call to Keras 3 tensors.

    Args:
        layer: The `TFOpLambda` or `SlicingOpLambda` layer that holds the call.
        args: Its positional arguments, with Keras 3 tensors in place of Keras 2 tensors.
        kwargs: Its keyword arguments, likewise.

    Raises:
        ModelError: The function or one of its arguments has no counterpart; names the layer.
    """
    symbol = layer.symbol
    if symbol not in OPERATIONS:
        raise ModelError(
            f"Layer {layer.name!r} is tf.{symbol}, which has no counterpart in the conversion. Express it "
            "with layers or simpler operations, or save the model as a SavedModel and load the folder."
        )
    bound = inspect.signature(layer.function).bind(*args, **kwargs).arguments
    named = {name: value for name, value in bound.items() if name != "name" and value is not None}
    try:
        return OPERATIONS[symbol](**named)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"Layer {layer.name!r} calls tf.{symbol} in a way that keras.ops cannot follow "
            f"({one_line(error)}). Express it with layers or simpler operations."
        ) from error


def _slice(tensor: Any, slice_spec: Any) -> Any:
    items = tuple(slice_spec) if isinstance(slice_spec, list | tuple) else (slice_spec,)
    index = tuple(slice(i["start"], i["stop"], i["step"]) if isinstance(i, dict) else i for i in items)
    return tensor[index[0] if isinstance(tensor, tuple) else index]


def _axes(axis: Any) -> Any:
    return tuple(int(a) for a in np.ravel(axis)) if isinstance(axis, list | tuple | np.ndarray) else axis


def _reduction(function: Operation) -> Operation:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(input_tensor, axis=_axes(axis), keepdims=keepdims)

    return reduce


def _reshape(tensor: Any, shape: Any) -> Any:
    sizes = [-1 if size is None else int(size) for size in shape]
    return ops.reshape(tensor, sizes)


def _in_order(function: Operation) -> Operation:
    """Passes arguments on by position, for functions whose argument names differ but not their order."""
    return lambda **named: function(*named.values())


def _stack(values: Sequence[Any], axis: int = 0) -> Any:
    if all(value is None or isinstance(value, int | np.integer) for value in values):
        return tuple(values)  # a shape put together from parts of another
    return ops.stack(values, axis=axis)


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    b = ops.swapaxes(b, -1, -2) if transpose_b else b
    return ops.matmul(a, b)


def _split(value: Any, num_or_size_splits: Any, axis: int = 0) -> Any:
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis=axis)
    if -1 in num_or_size_splits:
        raise ValueError("one of the sizes is -1")
    return ops.split(value, [int(i) for i in np.cumsum(num_or_size_splits)[:-1]], axis=axis)


def _pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    widths = [tuple(int(n) for n in pair) for pair in np.asarray(paddings)]
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, widths, mode="constant", constant_values=constant_values)
    return ops.pad(tensor, widths, mode=mode.lower())


def _squeeze(input: Any, axis: Any = None) -> Any:
    return ops.squeeze(input, axis=_axes(axis))


def _resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Any:
    if preserve_aspect_ratio:
        raise ValueError("preserve_aspect_ratio is True")
    sizes = tuple(int(n) for n in size)
    return ops.image.resize(
        images, sizes, interpolation=method, antialias=antialias, data_format="channels_last"
    )


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    squares = ops.sum(ops.square(x), axis=_axes(axis), keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon))


def _gather(params: Any, indices: Any, axis: int = 0, batch_dims: int = 0) -> Any:
    if batch_dims:
        raise ValueError("batch_dims is not 0")
    return ops.take(params, indices, axis=axis)


def _pooling(function: Operation) -> Operation:
    def pool(input: Any, ksize: Any, strides: Any, padding: str) -> Any:
        window, steps = (tuple(n) if isinstance(n, list | tuple) else n for n in (ksize, strides))
        return function(input, window, steps, padding.lower(), data_format="channels_last")

    return pool


_ELEMENTWISE: dict[str, Operation] = {
    "__operators__.add": ops.add, "__operators__.eq": ops.equal, "__operators__.ne": ops.not_equal,
    "math.abs": ops.abs, "math.add": ops.add, "math.ceil": ops.ceil, "math.cos": ops.cos,
    "math.divide": ops.true_divide, "math.divide_no_nan": ops.divide_no_nan, "math.equal": ops.equal,
    "math.erf": ops.erf, "math.exp": ops.exp, "math.floor": ops.floor, "math.floordiv": ops.floor_divide,
    "compat.v1.floor_div": ops.floor_divide, "math.floormod": ops.mod, "math.greater": ops.greater,
    "math.greater_equal": ops.greater_equal, "math.less": ops.less, "math.less_equal": ops.less_equal,
    "math.log": ops.log, "math.log1p": ops.log1p, "math.logical_and": ops.logical_and,
    "math.logical_not": ops.logical_not, "math.logical_or": ops.logical_or, "math.maximum": ops.maximum,
    "math.minimum": ops.minimum, "math.multiply": ops.multiply, "math.negative": ops.negative,
    "math.not_equal": ops.not_equal, "math.pow": ops.power, "math.reciprocal": ops.reciprocal,
    "math.round": ops.round, "math.rsqrt": ops.rsqrt, "math.sigmoid": ops.sigmoid, "math.sign": ops.sign,
    "math.sin": ops.sin, "math.softplus": ops.softplus, "math.sqrt": ops.sqrt, "math.square": ops.square,
    "math.subtract": ops.subtract, "math.tanh": ops.tanh, "math.truediv": ops.true_divide,
    "math.squared_difference": lambda x, y: ops.square(ops.subtract(x, y)),
    "nn.elu": ops.elu, "nn.relu": ops.relu, "nn.relu6": ops.relu6, "nn.selu": ops.selu,
    "nn.softsign": ops.softsign, "nn.bias_add": ops.add, "stop_gradient": ops.stop_gradient,
    "identity": lambda value: value,
}  # fmt: skip
_REDUCTIONS: dict[str, Operation] = {
    "mean": ops.mean, "sum": ops.sum, "max": ops.max, "min": ops.min, "prod": ops.prod, "std": ops.std,
    "variance": ops.var, "any": ops.any, "all": ops.all, "logsumexp": ops.logsumexp,
}  # fmt: skip
_FUNCTIONS: dict[str, Operation] = {
    "__operators__.getitem": _slice,
    "math.add_n": lambda inputs: sum(inputs[1:], inputs[0]),
    "broadcast_to": lambda input, shape: ops.broadcast_to(input, tuple(shape)),
    "cast": lambda x, dtype: ops.cast(x, getattr(dtype, "name", dtype)),
    "clip_by_value": lambda t, clip_value_min, clip_value_max: ops.clip(t, clip_value_min, clip_value_max),
    "concat": lambda values, axis: ops.concatenate(values, axis=axis),
    "einsum": lambda equation, inputs: ops.einsum(equation, *inputs),
    "expand_dims": lambda input, axis: ops.expand_dims(input, axis),
    "gather": _gather,
    "image.resize": _resize,
    "linalg.matmul": _matmul,
    "math.argmax": lambda input, axis=0: ops.argmax(input, axis=axis),
    "math.cumsum": lambda x, axis=0: ops.cumsum(x, axis=axis),
    "math.l2_normalize": _l2_normalize,
    "nn.gelu": lambda features, approximate=False: ops.gelu(features, approximate=approximate),
    "nn.leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, negative_slope=alpha),
    "nn.log_softmax": lambda logits, axis=-1: ops.log_softmax(logits, axis=axis),
    "nn.silu": lambda features, beta=1.0: features * ops.sigmoid(beta * features),
    "nn.softmax": lambda logits, axis=-1: ops.softmax(logits, axis=axis),
    "nn.avg_pool2d": _pooling(ops.average_pool),
    "nn.max_pool2d": _pooling(ops.max_pool),
    "one_hot": lambda indices, depth: ops.one_hot(indices, depth),
    "ones_like": lambda input: ops.ones_like(input),
    "pad": _pad,
    "repeat": lambda input, repeats, axis=None: ops.repeat(input, repeats, axis=axis),
    "reshape": _reshape,
    "reverse": lambda tensor, axis: ops.flip(tensor, axis=_axes(axis)),
    "roll": lambda input, shift, axis: ops.roll(input, shift, axis),
    "shape": lambda input, out_type=None: tuple(input.shape),  # noqa: ARG005 (sizes are numbers)
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": lambda input, multiples: ops.tile(input, [int(n) for n in multiples]),
    "transpose": lambda a, perm=None, conjugate=False: ops.transpose(a, perm),  # noqa: ARG005 (real numbers)
    "unstack": lambda value, num=None, axis=0: ops.unstack(value, num, axis),
    "where": lambda condition, x, y: ops.where(condition, x, y),
    "zeros_like": lambda input: ops.zeros_like(input),
}
OPERATIONS: dict[str, Operation] = {
    **{name: _in_order(function) for name, function in _ELEMENTWISE.items()},
    **{f"math.reduce_{name}": _reduction(function) for name, function in _REDUCTIONS.items()},
    **_FUNCTIONS,
    **{f"compat.v1.{name}": f for name, f in _FUNCTIONS.items()},
}
