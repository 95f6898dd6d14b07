"""Ranges of tensors that exist in the file only, such as those inside an attention layer."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from tfzip.conversion.converters import ConversionJob
from tfzip.conversion.knowledge import recorded_of
from tfzip.conversion.spill import spilled
from tfzip.conversion.trace import fixed_inputs, trace
from tfzip.graph import walk
from tfzip.quantization.observers import Observer
from tfzip.quantization_record import QuantizationRecord
from tfzip.sandbox import run_isolated
from tfzip.schemes import Range
from tfzip.sources.batches import calibration_samples

_TARGET = "tfzip.conversion.converters.tf_lite:inner_ranges"


def inner_ranges(
    model: keras.Model, record: QuantizationRecord, samples: Any, observer: Observer | None = None
) -> dict[str, Range]:
    """Returns ranges for what the file stores and the simulation of training does not know.

    Layers that the simulation runs whole become several operations, and the converter may write tensors of
    its own. With these ranges in `record.inner`, such a model is exported without calibration data. Packages
    below this one reach it as `tfzip.sandbox.resolve("tfzip.conversion.inner:inner_ranges")`.

    Args:
        model: A built model.
        record: What the simulation knows.
        samples: Inputs, as for `calibration` of `export`.
        observer: Chooses the ranges. Defaults to None: percentile.

    Returns:
        Ranges by the tensor's name in the file.
    """
    recorded = recorded_of(model, replace(record, inner={}))
    arrays = calibration_samples(samples, fixed_inputs(model, -1))
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        shapes = [array.shape[1:] for array in arrays.values()]
        traced = trace(model, Path(folder) / "saved_model", fixed_inputs(model, 1, shapes), record.scheme)
        job = ConversionJob(
            str(traced.folder),
            "",
            record.scheme,
            "float32",
            1,
            calibration=spilled(arrays, Path(folder)),
            observer=observer,
            recorded=recorded,
            layers=tuple(item.path for item in walk(model)),
        )
        ranges: dict[str, Range] = run_isolated(_TARGET, job)
        return ranges
