"""The sole importers of converters: one per file, each run in a child process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tfzip.fingerprint import Fingerprint
from tfzip.schemes import Range, Scheme

if TYPE_CHECKING:
    from tfzip.conversion.converters.plans import Kernel
from tfzip.quantization.observers import Observer

SIGNATURE = "serving_default"
"""The one signature of the SavedModels that are converted."""


@dataclass(frozen=True)
class Recorded:
    """Ranges learned in training, and how to find the tensors of the file that they belong to.

    Attributes:
        inputs: One example for each input, by name.
        looks: Pairs of a range's name and the fingerprint of a tensor on that example.
        ranges: Ranges by name.
        inner: Ranges by the name of a tensor in the file.
    """

    inputs: Mapping[str, NDArray[Any]]
    looks: tuple[tuple[str, Fingerprint], ...]
    ranges: Mapping[str, Range]
    inner: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class ConversionJob:
    """Everything a converter needs, small enough to travel to a child process.

    Attributes:
        saved_model: Folder of a SavedModel with the signature `SIGNATURE`.
        output: Where to write the raw .tflite.
        scheme: Number formats of the file.
        io: `"float32"`, `"int8"`, `"uint8"` or `"int16"`: type of floating-point inputs and outputs in the
            file.
        batch: First dimension of the inputs.
        calibration: For each input, its name and an .npy file of samples; empty without calibration.
        observer: Chooses ranges from calibration data; `None` for schemes without ranges.
        recorded: Ranges from training, which come before those from calibration data.
        layers: Paths of the model's layers.
        kernels: The model's kernels, to be recognised in the file.
        sparse: Whether kernels of many zeros are stored in the sparse encoding.
    """

    saved_model: str
    output: str
    scheme: Scheme
    io: str
    batch: int
    calibration: tuple[tuple[str, str], ...] = ()
    observer: "Observer | None" = None
    recorded: Recorded | None = None
    layers: tuple[str, ...] = ()
    kernels: "tuple[Kernel, ...]" = ()
    sparse: bool = False
