"""From a trained model to one that loses little in few bits, with a few hundred unlabelled inputs."""

from typing import Any

import keras

from tfzip.quantization.bias_correction import correct_bias
from tfzip.quantization.copies import copy_with_grids
from tfzip.quantization.equalization import equalize as equalized
from tfzip.quantization.revision import Revision
from tfzip.quantization.rounding.adaround import adaround
from tfzip.quantization.rounding.learn import Learning
from tfzip.quantization_record import attach_record, record_of
from tfzip.schemes import Scheme, get_scheme


def round_weights(
    model: keras.Model,
    scheme: str | Scheme,
    *,
    calibration: Any,
    equalize: bool = True,
    steps: int = 500,
    seed: int = 0,
) -> Revision:
    """Returns a model whose weights are ready for a scheme: better than rounding each to the nearest.

    Channels are equalized across layers, kernels of few bits are rounded as it suits the results of their
    layer, and the mean error is taken out of the channels of all others. Nothing is trained on labels.
    `export` uses the grids found, which the model carries in its record.

    Args:
        model: A built, trained model; it is left as it was.
        scheme: What the file will be: `"int4_weights"`, `"w4a8"`, a mixed scheme, ...
        calibration: A few hundred unlabelled inputs in any form that `export` takes.
        equalize: Whether channels are equalized first. Defaults to True.
        steps: Updates with which each layer learns its rounding. Defaults to 500.
        seed: Of all draws. Defaults to 0.

    Returns:
        The new model as `.model`, a flat one if Keras cannot clone the old; what was done to each layer, or
        why not, as `.changes`.

    Raises:
        OptionError: The weights of the scheme are not integers.
        DataError: The calibration data do not fit the model.
        ModelError: The model cannot be flattened.

    Example:
        >>> ready = tfzip.round_weights(model, "int4_weights", calibration=x_train[:256])
        >>> tfzip.export(ready.model, "model.tflite", scheme="int4_weights")
    """
    copy, scheme, record = copy_with_grids(model, get_scheme(scheme), record_of(model))
    attach_record(copy, record)
    even = equalized(copy, calibration=calibration) if equalize else Revision(copy, ())
    rounded = adaround(even.model, scheme, calibration=calibration, learning=Learning(steps=steps), seed=seed)
    changes = even.changes + rounded.changes
    left = [change.path for change in rounded.skipped]
    if not left:
        return Revision(rounded.model, changes)
    corrected = correct_bias(
        rounded.model, scheme, calibration=calibration, reference=even.model, layers=left
    )
    return Revision(corrected.model, changes + corrected.changes)
