"""The model's side of a comparison: named inputs in, named outputs out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.artifact import TensorSpec
from tfzip.errors import DataError, ModelError
from tfzip.graph.signature import input_tree, output_names
from tfzip.runtime.samples import Arrays


class Reference:
    """Calls a model in inference mode on arrays by input name.

    Args:
        model: The model.
        simulated: The same model with its rounding, to be called in its place. Defaults to None.

    Attributes:
        model: The model.
        inputs: Its inputs, -1 where a dimension is open, in flat order.
    """

    def __init__(self, model: keras.Model, simulated: keras.Model | None = None) -> None:
        self.model = model
        self._called = model if simulated is None else simulated
        self._tree = input_tree(model)
        self.inputs: tuple[TensorSpec, ...] = tuple(keras.tree.flatten(self._tree))

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """Returns the outputs by name, floats as float32.

        Raises:
            ModelError: The model cannot be called on these arrays, or its outputs' names repeat.
            DataError: The model computes values that are not finite.
        """
        leaves = [arrays[spec.name] for spec in self.inputs]
        try:
            outputs = self._called.predict_on_batch(keras.tree.pack_sequence_as(self._tree, leaves))
        except (ValueError, TypeError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelError(f"Model {self.model.name!r} cannot be called on the data: {reason}") from error
        names, flat = output_names(self.model, outputs), keras.tree.flatten(outputs)
        if len(set(names)) != len(flat):
            raise ModelError(
                f"Model {self.model.name!r} returns {len(flat)} outputs under the names {', '.join(names)}."
                " Give every output a name of its own: keras.Model(inputs, {'first': a, 'second': b})."
            )
        return {name: _finite(name, np.asarray(value)) for name, value in zip(names, flat, strict=True)}


def match_names(model: Mapping[str, Sequence[int]], file: Sequence[TensorSpec], role: str) -> dict[str, str]:
    """Pairs the file's inputs or outputs with the model's.

    Equal names pair first; a file that another tool wrote may call them `output_0`, ..., which pair in order
    when all shapes fit.

    Args:
        model: Shapes by name, in the model's order.
        file: Specs of the file.
        role: `"input"` or `"output"`, for the message.

    Returns:
        The model's name for each name in the file.

    Raises:
        DataError: They cannot be paired.
    """
    named = {re.sub(r"^serving_default_|:\d+$", "", spec.name): spec for spec in file}
    if len(named) == len(file) and set(named) == set(model):
        return {spec.name: name for name, spec in named.items()}
    ordered = sorted(file, key=lambda spec: _natural(spec.name))
    pairs = list(zip(ordered, model.items(), strict=False))
    if len(file) == len(model) and all(_fits(spec.shape, shape) for spec, (_, shape) in pairs):
        return {spec.name: name for spec, (name, _) in pairs}
    theirs = ", ".join(f"{spec.name} {spec.shape}" for spec in file)
    ours = ", ".join(f"{name} {tuple(shape)}" for name, shape in model.items())
    raise DataError(
        f"The file's {role}s ({theirs}) do not correspond to the model's ({ours}). Is it this model's file?"
    )


def _finite(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "biu":
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(
                f"The model computes NaN or infinity at output {name!r}, so there is nothing to compare with."
                " Check its weights and the scale of the data."
            )
    return array


def _fits(file: Sequence[int], model: Sequence[int]) -> bool:
    rest = zip(file[1:], model[1:], strict=False)
    return len(file) == len(model) and all(-1 in pair or pair[0] == pair[1] for pair in rest)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
