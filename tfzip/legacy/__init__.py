"""The only door to tf_keras and TFMOT: Keras 2 models become Keras 3 models."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def from_tf_keras(model: Any, *, unsafe: bool = False) -> "keras.Model":
    """Returns the Keras 3 model with the weights and outputs of a Keras 2 model.

    Models wrapped by TFMOT's pruning or clustering come out unwrapped: zeros and shared values stay in the
    weights. The argument is left as it is. Outputs of both models are compared on two random samples.

    Args:
        model: A Sequential or Functional `tf_keras` model, or the path of one saved as `.h5`, `.keras` or as
            a SavedModel folder.
        unsafe: Whether Lambda layers are kept and, in a file, run to load it. Defaults to False.

    Returns:
        A `keras.Sequential` or functional `keras.Model` with the same layer names, not compiled.

    Raises:
        ModelError: A layer, operation or argument has no counterpart in Keras 3, the model is subclassed or
            wrapped for quantization, or the outputs differ; the layer is named.
        MissingDependencyError: `tf_keras` is not installed, or TFMOT for a wrapped model.
    """
    from tfzip.legacy.convert import convert_model
    from tfzip.legacy.files import load_tf_keras
    from tfzip.legacy.verify import check_same_outputs

    source = load_tf_keras(model, unsafe=unsafe) if isinstance(model, str | os.PathLike) else model
    conversion = convert_model(source, unsafe=unsafe)
    check_same_outputs(source, conversion)
    return conversion.model
