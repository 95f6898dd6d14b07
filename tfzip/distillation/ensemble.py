"""Several teachers as one."""

from collections.abc import Sequence
from typing import Any

import keras

from tfzip.errors import OptionError
from tfzip.given import is_number
from tfzip.graph.model_inputs import symbolic_inputs
from tfzip.graph.walk import check_built


@keras.saving.register_keras_serializable(package="tfzip")
class Member(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A model in inference mode under a name of its own, since several may have the same.

    Args:
        model: A built model.
        **kwargs: Those of a layer.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def call(self, inputs: Any) -> Any:
        """Returns what the model makes of the inputs."""
        return self.model(inputs, training=False)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` builds an equal layer from."""
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Member":
        """Builds a layer from its configuration."""
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})


def ensemble(teachers: Sequence[keras.Model], weights: Sequence[float] | None = None) -> keras.Model:
    """Returns a model that gives the mean of several models' outputs, as a teacher for a `Distiller`.

    Of logits the mean is of logits, of probabilities it is of probabilities.

    Args:
        teachers: Built models with the same inputs and outputs.
        weights: A number for each. Defaults to None: all count the same.

    Raises:
        OptionError: There is none, their outputs differ, or weights do not fit.
    """
    if not isinstance(teachers, list | tuple):
        raise OptionError(f"An ensemble takes a list of models. Received: {type(teachers).__name__}.")
    shares = list(weights) if weights is not None else [1.0] * len(teachers)
    fit = len(shares) == len(teachers) and all(is_number(one) and one >= 0 for one in shares)
    if not teachers or not fit or not sum(shares) > 0:
        raise OptionError(
            "An ensemble takes models, and for each a weight of at least 0, not all 0. Received:"
            f" {len(teachers)} models, weights {weights!r}."
        )
    for one in teachers:
        check_built(one)
    inputs = symbolic_inputs(teachers[0])
    _check_inputs(teachers)
    outputs = [Member(one, name=f"teacher_{index}")(inputs) for index, one in enumerate(teachers)]
    shapes = [keras.tree.map_structure(lambda one: tuple(one.shape), output) for output in outputs]
    if any(shape != shapes[0] for shape in shapes):
        raise OptionError(f"The teachers of an ensemble have the same outputs. Received: {shapes}.")

    shares = [float(one) for one in shares]

    def mean(*parts: Any) -> Any:
        return sum(share / sum(shares) * part for share, part in zip(shares, parts, strict=True))

    return keras.Model(inputs, keras.tree.map_structure(mean, *outputs), name="ensemble")


def _check_inputs(teachers: Sequence[keras.Model]) -> None:
    """Raises `OptionError` where members take other inputs than the first."""
    shapes = [
        [tuple(one.shape[1:]) for one in keras.tree.flatten(symbolic_inputs(teacher))] for teacher in teachers
    ]
    if any(shape != shapes[0] for shape in shapes):
        raise OptionError(f"The teachers of an ensemble have the same inputs. Received: {shapes}.")
