"""The simulated model, for those who want it explicit."""

from typing import Any

import keras

from tfzip.errors import OptionError
from tfzip.quantization.observers import Observer, observers
from tfzip.quantization.quantizer import Quantizer
from tfzip.quantization_record import attach_record, record_of
from tfzip.schemes import Scheme, get_scheme

BATCH = 32


def quantize(
    model: keras.Model,
    scheme: str | Scheme | None = None,
    *,
    calibration: Any = None,
    observer: str | Observer = "percentile",
) -> keras.Model:
    """Returns a model that computes what the file of this model computes, rounding included.

    Args:
        model: A built model; it is left as it was.
        scheme: What the file will be. Defaults to None: what the model was trained for, else `"int8"`.
        calibration: Inputs as `model.predict` takes them. Needed unless the model has learned its ranges with
            `QuantizationCallback`. Defaults to None.
        observer: How ranges are chosen from the inputs. Defaults to "percentile".

    Returns:
        A model with a copy of the weights. It can be evaluated, called and trained; `.float_model` is the
        model inside, which carries the grids and is what to export.

    Raises:
        OptionError: Neither the model nor `calibration` says what the ranges are.
        ModelError: The model cannot be flattened.

    Example:
        >>> simulated = tfzip.quantize(model, "int8", calibration=x_train[:256])
        >>> simulated.evaluate(x_test, y_test)
    """
    record = record_of(model)
    scheme = get_scheme(scheme) if scheme is not None else (record.scheme if record else get_scheme("int8"))
    if calibration is None and scheme.needs_calibration and not (record and record.ranges):
        raise OptionError(
            f"The ranges of model {model.name!r} are not known. Train it with QuantizationCallback, or give"
            " a few hundred inputs: calibration=x_train[:256]."
        )
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    quantizer = Quantizer(copy, scheme, record)
    if calibration is not None:
        quantizer.calibrate(batches_of(calibration), observers.get(observer))
    attach_record(copy, quantizer.record())
    return QuantizedModel(copy, quantizer)
