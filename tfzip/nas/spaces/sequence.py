"""Sequences of sound or sensors: convolutions in time, recurrent layers, or both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfzip.errors import OptionError
from tfzip.nas.space import Choice, IntRange, Parameter, Space
from tfzip.nas.spaces.model_space import ModelSpace

if TYPE_CHECKING:
    import keras

_CONVOLUTIONS = ("convolution", "separable")


def sequence(
    input_shape: tuple[int | None, int],
    outputs: int,
    *,
    activation: str | None = "softmax",
    stages: int = 3,
    widest: int = 64,
) -> ModelSpace:
    """Returns networks for (time, channels), stage by stage convolutional in time or recurrent.

    Args:
        input_shape: Steps, or None where they vary, and channels.
        outputs: Units of the last layer: classes, or what is predicted.
        activation: Of the last layer; None for regression. Defaults to `"softmax"`.
        stages: Most stages; a network has as many as `depth` says. Defaults to 3.
        widest: Largest width, a multiple of 8. Defaults to 64.

    Returns:
        `depth`, and for each stage that exists `kind`, `width`, and for convolutions `kernel` and `stride`;
        `pooling` over time at the end.
    """
    if stages < 1 or widest < 8 or widest % 8:
        raise OptionError(f"stages is at least 1 and widest a multiple of 8. Received: {stages}, {widest}.")
    parameters: dict[str, Parameter] = {"depth": IntRange(1, stages)}
    for stage in range(stages):
        here = {"depth": list(range(stage + 1, stages + 1))}
        convolved = {**here, f"stage{stage}_kind": list(_CONVOLUTIONS)}
        parameters |= {
            f"stage{stage}_kind": Choice([*_CONVOLUTIONS, "gru", "lstm"], only_if=here),
            f"stage{stage}_width": IntRange(8, widest, 8, only_if=here),
            f"stage{stage}_kernel": Choice([3, 5, 9], only_if=convolved),
            f"stage{stage}_stride": Choice([1, 2], only_if=convolved),
        }
    parameters["pooling"] = Choice(["mean", "last", "max"])

    def build(choices: Mapping[str, Any]) -> "keras.Model":
        import keras

        layers = keras.layers
        x = inputs = keras.Input(input_shape)
        for stage in range(choices["depth"]):
            kind, width = choices[f"stage{stage}_kind"], choices[f"stage{stage}_width"]
            if kind in _CONVOLUTIONS:
                layer = layers.Conv1D if kind == "convolution" else layers.SeparableConv1D
                size, stride = choices[f"stage{stage}_kernel"], choices[f"stage{stage}_stride"]
                x = layer(width, size, stride, padding="same", use_bias=False, name=f"stage{stage}_{kind}")(x)
                x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, name=f"stage{stage}_norm")(x))
            else:
                layer = layers.GRU if kind == "gru" else layers.LSTM
                x = layer(width, return_sequences=True, name=f"stage{stage}_{kind}")(x)
        match choices["pooling"]:
            case "mean":
                x = layers.GlobalAveragePooling1D()(x)
            case "max":
                x = layers.GlobalMaxPooling1D()(x)
            case _:
                x = x[:, -1]
        return keras.Model(inputs, layers.Dense(outputs, activation, name="out")(x), name="sequence")

    return ModelSpace(Space(parameters), build)
