"""The sole importers of converters: one per file, each run in a child process."""

from dataclasses import dataclass

from tfzip.schemes import Scheme

SIGNATURE = "serving_default"
"""The one signature of the SavedModels that are converted."""


@dataclass(frozen=True)
class ConversionJob:
    """Everything a converter needs, small enough to travel to a child process.

    Attributes:
        saved_model: Folder of a SavedModel with the signature `SIGNATURE`.
        output: Where to write the raw .tflite.
        scheme: Number formats of the file.
        io: `"float32"`, `"int8"` or `"int16"`: type of floating-point inputs and outputs in the file.
        batch: First dimension of the inputs.
        calibration: For each input, its name and an .npy file of samples; empty without calibration.
    """

    saved_model: str
    output: str
    scheme: Scheme
    io: str
    batch: int
    calibration: tuple[tuple[str, str], ...] = ()
