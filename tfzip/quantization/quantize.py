"""The simulated model, for those who want it explicit."""

from typing import Any

import keras

from tfzip.errors import ModelError, OptionError
from tfzip.graph.signature import input_tree
from tfzip.quantization.copies import copy_with_grids
from tfzip.quantization.observers import Observer, observers
from tfzip.quantization.quantizer import Quantizer, in_batches
from tfzip.quantization_record import QuantizationRecord, attach_record, pack_record, record_of, unpack_record
from tfzip.schemes import Scheme, get_scheme
from tfzip.sources.batches import calibration_samples


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
        calibration: A few hundred inputs in any form that `export` takes. Needed unless the model has learned
            its ranges with `QuantizationCallback`. Defaults to None.
        observer: How ranges are chosen from the inputs. Defaults to "percentile".

    Returns:
        A model with a copy of the weights. It can be evaluated, called and trained; `.float_model` is the
        model inside, which carries the grids and is what to export. A model that Keras cannot make again
        from its configuration, as most subclassed ones, is flat there.

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
    copy, scheme, record = copy_with_grids(model, scheme, record)
    if record is None and not scheme.needs_calibration:
        record = QuantizationRecord(scheme)
    quantizer = Quantizer(copy, scheme, record)
    if calibration is not None:
        samples = calibration_samples(calibration, keras.tree.flatten(input_tree(copy)), varied=True)
        quantizer.calibrate(in_batches(samples), observers.get(observer))
    attach_record(copy, quantizer.record())
    return QuantizedModel(copy, quantizer)


@keras.saving.register_keras_serializable(package="tfzip")
class QuantizedModel(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A model inside its simulation.

    Args:
        float_model: The model whose file is simulated, with its grids attached.
        quantizer: Runs it. Defaults to None: made from the grids.
    """

    def __init__(self, float_model: keras.Model, quantizer: Quantizer | None = None, **others: Any) -> None:
        super().__init__(**{"name": f"quantized_{float_model.name}"} | others)
        self.float_model = float_model
        self._set_quantizer(quantizer)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes what the file computes; in training, batch normalization uses the batch."""
        return self.quantizer(inputs, training=bool(training), batch_statistics=bool(training))

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the model inside."""
        return {"name": self.name, "float_model": keras.saving.serialize_keras_object(self.float_model)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantizedModel":
        """Makes the model anew, still without grids."""
        return cls(keras.saving.deserialize_keras_object(config["float_model"]), name=config["name"])

    def save_own_variables(self, store: Any) -> None:
        """Saves the grids; the weights are those of the model inside."""
        for name, array in pack_record(self.quantizer.record()).items():
            store[name] = array

    def load_own_variables(self, store: Any) -> None:
        """Loads the grids."""
        record = unpack_record({name: store[name] for name in store.keys()})  # noqa: SIM118
        attach_record(self.float_model, record)
        self._set_quantizer(None)

    @property
    def quantizer(self) -> Quantizer:
        """What runs the model on its grids."""
        made: Quantizer | None = self._made[0]
        if made is None:
            record = record_of(self.float_model)
            if record is None:
                raise ModelError(
                    f"Model {self.name!r} has no grids. Make it with tfzip.quantize(model, ...)."
                )
            made = Quantizer(self.float_model, record.scheme, record)
            self._set_quantizer(made)
        return made

    def _set_quantizer(self, quantizer: Quantizer | None) -> None:
        object.__setattr__(self, "_made", (quantizer,))  # Keras would look for layers in it
