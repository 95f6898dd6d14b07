"""Residual networks: the depth and the width of each stage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfzip.nas.space import IntRange, Parameter, Space
from tfzip.nas.spaces.model_space import ModelSpace

if TYPE_CHECKING:
    import keras


def resnet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widest: Sequence[int] = (32, 64, 128),
    most_blocks: int = 3,
    step: int = 8,
) -> ModelSpace:
    """Returns residual networks of basic blocks (He et al. 2016, section 4.2).

    Args:
        input_shape: Of an image, channels last; values are taken as they are.
        classes: Of the softmax at the end.
        widest: Largest width of each stage; the stages after the first halve the image. Defaults to three.
        most_blocks: Largest depth of a stage. Defaults to 3.
        step: Between two widths, and the smallest. Defaults to 8.

    Returns:
        `stage0_width`, `stage0_depth` and so on.
    """
    parameters: dict[str, Parameter] = {}
    for stage, most in enumerate(widest):
        parameters[f"stage{stage}_width"] = IntRange(step, most, step)
        parameters[f"stage{stage}_depth"] = IntRange(1, most_blocks)

    def build(choices: Mapping[str, Any]) -> "keras.Model":
        import keras

        layers = keras.layers
        inputs = keras.Input(input_shape)
        x = layers.ReLU()(_normalized(inputs, choices["stage0_width"], 3, 1, "stem"))
        for stage in range(len(widest)):
            width = choices[f"stage{stage}_width"]
            for block in range(choices[f"stage{stage}_depth"]):
                stride = 2 if stage and block == 0 else 1
                name = f"stage{stage}_block{block}"
                y = layers.ReLU()(_normalized(x, width, 3, stride, f"{name}_first"))
                y = _normalized(y, width, 3, 1, f"{name}_second")
                same = stride == 1 and x.shape[-1] == width
                short = x if same else _normalized(x, width, 1, stride, f"{name}_shortcut")
                x = layers.ReLU()(layers.Add()([short, y]))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(classes, "softmax", name="classes")(x), name="resnet")

    return ModelSpace(Space(parameters), build)


def _normalized(x: Any, width: int, size: int, stride: int, name: str) -> Any:
    from keras import layers

    kernel = {"kernel_initializer": "he_normal", "use_bias": False}
    x = layers.Conv2D(width, size, stride, padding="same", name=name, **kernel)(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
