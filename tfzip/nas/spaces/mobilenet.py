"""MobileNet blocks: kernel, expansion, depth, width, squeeze-and-excitation and activation by stage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfzip.nas.space import Choice, IntRange, Parameter, Space
from tfzip.nas.spaces.model_space import ModelSpace

if TYPE_CHECKING:
    import keras

_REDUCTION = 4
_OWN = ("depth", "width", "kernel", "expansion", "excite")


def mobilenet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = (16, 24, 40),
    strides: Sequence[int] = (1, 2, 2),
    most_blocks: int = 3,
    factors: Sequence[float] = (0.5, 0.75, 1.0, 1.25),
) -> ModelSpace:
    """Returns networks of inverted residual blocks (Sandler et al. 2018; Howard et al. 2019).

    Args:
        input_shape: Of an image, channels last; values are taken as they are.
        classes: Of the softmax at the end.
        widths: Channels of each stage, to be multiplied by a factor. Defaults to three stages.
        strides: Of the first block of each stage. Defaults to `(1, 2, 2)`, for images of 32 pixels.
        most_blocks: Largest depth of a stage. Defaults to 3.
        factors: For the widths, which are rounded to multiples of 8. Defaults to four around 1.

    Returns:
        For each stage `depth`, `kernel` (3, 5, 7), `expansion` (2, 3, 4, 6), `width` and `excite`; for all
        `stem`, its width, and `activation`.
    """
    parameters: dict[str, Parameter] = {
        "stem": Choice([8, 16, 24]),
        "activation": Choice(["relu6", "hard_silu"]),
    }
    for stage in range(len(widths)):
        parameters |= {
            f"stage{stage}_depth": IntRange(1, most_blocks),
            f"stage{stage}_width": Choice(sorted({_rounded(widths[stage] * one) for one in factors})),
            f"stage{stage}_kernel": Choice([3, 5, 7]),
            f"stage{stage}_expansion": Choice([2, 3, 4, 6]),
            f"stage{stage}_excite": Choice([False, True]),
        }

    def build(choices: Mapping[str, Any]) -> "keras.Model":
        import keras

        layers, act = keras.layers, choices["activation"]
        inputs = keras.Input(input_shape)
        x = _normalized(
            inputs, layers.Conv2D(choices["stem"], 3, padding="same", use_bias=False, name="stem")
        )
        x = layers.Activation(act)(x)
        for stage, stride in enumerate(strides):
            own = {name: choices[f"stage{stage}_{name}"] for name in _OWN}
            for block in range(own["depth"]):
                x = _block(x, own, act, stride if block == 0 else 1, f"stage{stage}_block{block}")
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(classes, "softmax", name="classes")(x), name="mobilenet")

    return ModelSpace(Space(parameters), build)


def _block(x: Any, own: Mapping[str, Any], act: str, stride: int, name: str) -> Any:
    from keras import layers

    before, inner = x, x.shape[-1] * own["expansion"]
    x = _normalized(x, layers.Conv2D(inner, 1, use_bias=False, name=f"{name}_expand"))
    x = layers.Activation(act)(x)
    depthwise = layers.DepthwiseConv2D(
        own["kernel"], stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    x = layers.Activation(act)(_normalized(x, depthwise))
    if own["excite"]:
        pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
        squeeze = layers.Conv2D(max(inner // _REDUCTION, 1), 1, activation="relu", name=f"{name}_squeeze")
        excite = layers.Conv2D(inner, 1, activation="hard_sigmoid", name=f"{name}_excite")
        x = layers.Multiply()([x, excite(squeeze(pooled))])
    x = _normalized(x, layers.Conv2D(own["width"], 1, use_bias=False, name=f"{name}_project"))
    return layers.Add()([before, x]) if stride == 1 and before.shape[-1] == own["width"] else x


def _normalized(x: Any, layer: "keras.Layer") -> Any:
    import keras

    return keras.layers.BatchNormalization(momentum=0.9, name=f"{layer.name}_norm")(layer(x))


def _rounded(width: float) -> int:
    return max(8, round(width / 8) * 8)
