"""Padding that a convolution can do itself."""

from typing import Any

import keras


def is_same_padding(
    padding: keras.Operation, convolution: keras.Operation, sizes: tuple[int | None, ...]
) -> bool:
    """Whether zero padding equals `padding="same"` of the unpadded convolution that reads it.

    The converter then drops the padding. "Same" over n places with stride s and window k adds
    max((ceil(n / s) - 1) s + k - n, 0) zeros, the smaller half of them in front.

    Args:
        padding: A `ZeroPadding2D`.
        convolution: What reads its result.
        sizes: Shape of what is padded, channels last.
    """
    layer: Any = convolution
    if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) or layer.padding != "valid":
        return False
    added: Any = padding
    for size, (front, back), window, stride, dilation in zip(
        sizes[1:3], added.padding, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        places = size or 1
        needed = max((-(-places // stride) - 1) * stride + (window - 1) * dilation + 1 - places, 0)
        if (front, back) != (needed // 2, needed - needed // 2):
            return False
    return True
