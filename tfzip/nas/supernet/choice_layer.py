"""A layer that is one of several, or a mixture of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfzip.errors import OptionError

_KINDS = (bool, int, float, str, type(None))


class ChoiceLayer(keras.layers.Layer):  # type: ignore[misc]
    """Holds a layer for each option of a choice that has its name; one of them computes.

    Options take the same input and give the same shape. While shares are set (`mixed`), it gives the sum of
    all outputs by share (Liu et al., "DARTS", ICLR 2019, equation 2); else that of one option.

    Args:
        options: Layers by option; None for what leaves its input as it is. Keys are what a `Choice` takes.
        **kwargs: `name`, which is the name of the choice, and what else a Keras layer takes.

    Raises:
        OptionError: There are no options, or one is no layer.

    Example:
        >>> x = tfzip.ChoiceLayer({3: conv3, 5: conv5, 0: None}, name="block0")(x)
    """

    def __init__(self, options: Mapping[Any, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(options, Mapping) or not options:
            raise OptionError(f"A ChoiceLayer has layers by option. Received: {options!r}.")
        for option, layer in options.items():
            if not isinstance(option, _KINDS) or not (layer is None or isinstance(layer, keras.layers.Layer)):
                raise OptionError(
                    "An option is a number, a string, a boolean or None, and its layer a Keras layer or None."
                    f" Received: {option!r}: {layer!r}."
                )
        self.options = tuple(options)
        self.branches = [keras.layers.Identity() if one is None else one for one in options.values()]
        self.mixed: Any = None

    def build(self, input_shape: Any) -> None:
        """Builds every option; raises `OptionError` where their outputs have other shapes."""
        shapes = []
        for branch in self.branches:
            if not branch.built:
                branch.build(input_shape)
            shapes.append(tuple(branch.compute_output_shape(input_shape)))
        if len(set(shapes)) > 1:
            raise OptionError(
                f"The options of {self.name!r} give other shapes: "
                + ", ".join(f"{o!r} {s}" for o, s in zip(self.options, shapes, strict=True))
                + ". Make them the same."
            )
        self.place = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="place"
        )
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape that every option gives."""
        return self.branches[0].compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        """Computes the option at `place`, or the mixture."""
        if self.mixed is not None:
            shares = keras.ops.cast(self.mixed, inputs.dtype)
            return sum(shares[place] * branch(inputs) for place, branch in enumerate(self.branches))
        return keras.ops.switch(self.place, self.branches, inputs)


def places(layers: Sequence[ChoiceLayer], choices: Mapping[str, Any]) -> list[int]:
    """Returns where the options of a sample are in each layer.

    Raises:
        OptionError: A choice is missing or has no such option.
    """
    found = []
    for layer in layers:
        if choices.get(layer.name, _KINDS) not in layer.options:
            raise OptionError(
                f"Choice {layer.name!r} is one of {list(layer.options)}. Received:"
                f" {choices.get(layer.name)!r}."
            )
        found.append(layer.options.index(choices[layer.name]))
    return found
